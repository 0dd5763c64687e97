// Package peers measures lockify against its limits and against what one would use
// instead, all in one run.
//
//	jobs: a system, how many locks under way, pinned or free ---> rig: servers, clients
//	   | all of them, round after round, so that a ratio compares neighbours in time
//	   v
//	Report: for each system acquire p50 and p99, pairs a second; ratios, each with what is wanted
//
// A pair is a lock and its unlock; names are new each time but where it says otherwise.
// Figures are medians over the rounds. Services that are much slower have their rounds
// behind the others, one service after the other.
//
// # Where to add things
//
// A system: in package rig, then in jobs.go. What is wanted of it: targets.go.
package peers
