// Package flame draws the processor profile of a program as a flame graph.
//
//	cpu.pprof (github.com/google/pprof/profile) --> tree of calls --> SVG
//
// Width is time; a function stands above the one that called it. Each box has a tooltip
// with its full name and its part. Functions in boxes too narrow to see are left out, but
// not their time.
package flame
