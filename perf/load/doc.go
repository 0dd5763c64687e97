// Package load works on a lock service and takes the time.
//
//	Names -- which name is next --> lanes of a Service -- Acquire, Release --> what is measured
//	                                   |
//	Shape: closed loop, open loop      v
//	                                Result: pairs a second, Histogram of Acquire, CPU, allocations
//
// A closed loop has each lane begin its next pair when the last one is done: it finds
// what a service can do. An open loop begins pairs at given times, whether or not the
// service keeps up, and counts each Acquire from when it should have begun. So a stall
// counts for all who would have come meanwhile, not just for the one who did
// (coordinated omission).
//
// A service whose calls return before they are done is an Async; it has slots instead of
// lanes, and no goroutine for each.
package load
