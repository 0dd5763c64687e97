// Package lint holds the rules of this repository as tests. It has no code of
// its own.
//
//	ARCHITECTURE.md --- layer table ---+
//	                                   v
//	go/parser over all packages ---> layers_test.go  who imports whom
//	                           \---> godoc_test.go   what is exported has a comment
//	all text files ----------------> tidy_test.go    sizes, leftovers, paths
//
// The tests read the source only, without the module's dependencies, and
// without regard to build tags.
package lint
