// Package devtest says what each blockdev.Device must do, as tests:
//
//	func TestConformance(t *testing.T) {
//		devtest.Run(t, func(t *testing.T) blockdev.Device { ... })
//	}
//
//	  seed --> program --> ring --> Device
//	              |          |
//	            model     ends, buffers
//	              |          |
//	              +-- equal? +
//
// A program is random: chains with failures in them, drains, several Submits, ends
// reaped now and then. Two requests that touch the same block, one of them writing, are
// put in order by a link or a drain, so that the model, which does everything one after
// the other, knows what must come out. A failure names its seed; Seed runs one alone.
//
// The device should be of at least MinSize bytes, all zero, and fit for use by the
// test alone. Run closes it.
package devtest
