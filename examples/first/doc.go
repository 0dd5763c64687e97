// First is a first program: it adds one to a number in a file that many share, under a
// lock of the cluster.
//
//	go run ./examples/first unix:///run/lockify/lockify.sock FILE
//
//	Dial --> Open --> Lock ... the file ... Unlock
//
// docs/guide/first-program.md shows it.
package main
