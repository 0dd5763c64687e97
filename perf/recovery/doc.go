// Package recovery measures what the death of a node costs a cluster of processes.
//
//	this program                          lockifyd 1 ... n, agreed membership
//	  a client at each node        -----> n is killed; the others agree on that,
//	  holds many locks                    rebuild what it was master of, and
//	  programs lock and unlock            find new directory nodes
//	  asks for the lockspaces' state ---> admin
//
// Of the locks, each of which is held by a program at another node than its master, node
// n is the master of a part, and the directory node of an n-th. Two kinds of programs
// lock and unlock names all the time. The names of the unaffected ones have a master
// and a directory node that live. Those of the affected ones were mastered by node n.
package recovery
