// Command models checks the protocol's Promela models with spin, exhaustively
// in their small scope. Each line of variants.txt is one check: a model, its
// switches, and what must come of it. A rule's own line has all rules on and
// must end without a violation; a line with a rule off must find one.
//
//	go run ./models          what CI runs
//	go run ./models -full    the large ones too
//	go run ./models -run life
//
// It needs spin and a C compiler. README.md says what each model is about.
package main
