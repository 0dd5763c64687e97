// Package clustertest is the conformance test for providers of membership.
//
//	Run ---> one test for each promise of cluster.Provider and cluster.Handler
//	  |        |
//	  |        +-- node: a Provider and an ear, the Handler, which checks order
//	  v
//	Backend: makes starts of nodes of one new cluster, cuts a node off
//
// It goes by what is told, and by the clock only where a lease must have ended before
// something is told. So it is as fast as the leases of the backend are short; they must
// be long enough for a busy machine: 1 to 2 s.
//
// Only tests import this package.
package clustertest
