// Package steady tells when the machine itself was slow, so that this is not taken for a fault of
// what was measured on it.
//
//	thread of its own:  sleep 2 ms, compute always the same, note its processor time
//	                                                              |
//	times at which that took twice as long as at its best  <------+
//	        |
//	a wait from ... to ...   --->   how much of it was not in those times
//
// A processor of a virtual machine is not always the same one. On one where lockify was measured
// both did a twelfth of their work for 20 to 50 ms, once or twice a second, and came back
// to their speed in another 50: a pure computation shows that, while no clock, no scheduler and
// no count of stolen time does. All that waits for an answer then waits longer, whatever
// it waits for. What is reported without those times is reported beside what was seen with
// them, never instead.
package steady
