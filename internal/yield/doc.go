// Package yield lets others have the processor, in the middle of work that goes on for long.
//
//	long work ---> Now ---> a goroutine that is ready      of this program
//	    ^           |  ---> a thread that is ready, too    of any program
//	    +-----------+
package yield
