package yield

import "runtime"

// Now lets another goroutine run, or another thread that wants this processor. Linux often
// takes it from a thread that computes at its timer's next tick only, up to 4 ms later (10 with
// HZ=100), also where that one has had its turn long ago, and others want it for microseconds.
// With nobody there it costs less than a microsecond.
func Now() {
	runtime.Gosched()
	thread()
}
