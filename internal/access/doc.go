// Package access says what a client of a node may do in a lockspace.
//
//	certificate, uid, gid       [[access]] rules
//	        |                        |
//	      Client ----- Policy.Right -+--> nothing < read < shared < exclusive < administer
//	                        |                                   |
//	                   lockspace's name                 internal/node asks for each request
//
// Rules only allow. What several of them give a client is the highest of it, so their
// order does not count. Whom no rule names may do nothing, but for who could change the
// rules anyway. Without any rule, those may do all whom only this machine lets in.
package access
