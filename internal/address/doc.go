// Package address says what the addresses of nodes and of their clients may be, for the settings of
// lockifyd and for lockify.Config. They are "unix:///path" or "host:port", the latter perhaps with
// tcp:// before it.
//
// Its errors do not have the address in them: whoever shows them says which setting it is of.
package address
