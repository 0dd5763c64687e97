// Package daemontest runs real lockifyd and lockctl processes for tests.
//
//	TestMain --- Main ---> go build ---> temporary directory
//	test     --- Start, Cluster ---> lockifyd ... "ready" on its output
//	                                     \--- log, kept and searched
//
// A daemon is up when Start returns: it has printed its ready line. It is
// killed when the test ends; its log is shown if the test has failed. Under
// the race detector the programs are built with it as well, and the daemons
// use the plain transport: netpoll hides its accesses from the detector.
//
// Only tests import this package.
package daemontest
