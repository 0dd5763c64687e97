// Package secure has the certificates by which nodes and clients of a cluster know each
// other.
//
//	lockctl tls init, node, client            lockifyd, clients
//	      NewCA, Issue                            Open ---> Keeper: cert, key, CA
//	         |                                                |  read again when the files change
//	         v                                                v
//	   ca.crt ca.key, NAME.crt NAME.key        Server, Client: TLS 1.3, both ends show theirs
//
// A certificate is of one cluster, and of a node or a client of it (Identity). That
// stands in it as a URI, and is what counts; host names and addresses do not, as nodes
// move. Whoever has a certificate that the cluster's own CA has signed may connect; what
// it may do there is for those above to say.
package secure
