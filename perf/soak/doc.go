// Package soak does mixed I/O through host and target of this repository for a long time,
// while connections break, and checks all that is read.
//
//	worker, ring --+                                        +--> conn --+
//	worker, ring --+-- host, digests ----> proxy: cuts,     |           |
//	                                       turns bits over -+--> conn --+-- target -- memory
//	worker, ring --+-- host, plain ------> proxy: cuts -----+--> conn --+
//	worker, ring --+
//
// Each block holds its number, its worker, which write of it this was, and a checksum of
// all. A worker has blocks of its own, and knows which writes each of them may hold: the
// last one that has succeeded, and those with an unknown outcome since, which may be late.
//
// It goes by epochs. At the end of one the hosts leave, the proxies wait until the target
// has let go of all connections, and the hosts that come then read everything: what a
// block holds now it holds for good.
//
// Where data has a digest, a proxy turns over bits as well; nobody may be fooled.
package soak
