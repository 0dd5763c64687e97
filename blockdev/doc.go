// Package blockdev reads and writes block devices through rings, in the manner of
// io_uring: requests are prepared in place, many are submitted with one call, and
// what has ended is reaped in any order.
//
//	  program                         one goroutine at a time for each ring
//	     | GetSQE  Submit      ^ Peek  Wait
//	+----v---------------------|----+
//	| Ring                          |  written once: tags, checks of arguments,
//	|  prepared -> held -> in flight|  links, drains, deadlines, cancellation
//	|                 ended <---+   |
//	+----|-----------------^--------+
//	     | Submit(batch)   | Poll, Wait
//	+----v-----------------|--------+
//	| Backend                       |  memory (here), fault injection (here),
//	|                               |  blockdev/uring, blockdev/nvme/host
//	+-------------------------------+
//	     |
//	  Device: makes rings, each with a backend of its own
//
// # Requests
//
// GetSQE gives a request of the ring, cleared; nil if Depth of them are between
// GetSQE and Peek already, so that nothing can ever overflow. What Submit has taken
// may be done in any order, unless
//
//   - Link says that the next request of the same Submit starts when this one has
//     succeeded. If it fails, those behind it in the chain end with StatusLinkBroken.
//   - Drain says that a request starts when all submitted before it have ended, and
//     that those submitted after it start when it has ended. A Drain anywhere in a
//     chain goes for the whole chain.
//
// Arguments that are wrong end the request with a status that says so; it does not
// reach the device.
//
// # Buffers
//
// The buffers of a request belong to the ring from Submit until its CQE has been
// reaped. They are not copied on the way out, and filled directly on the way in; a
// backend that does otherwise says so. Buffers should not be changed meanwhile: what
// a write stores, and what a digest covers, would be anybody's guess.
//
// # Deadlines and cancellation
//
// A request that has not started ends at once, with StatusDeadline or
// StatusCanceled. One that is in flight is taken back from the device, and ends when
// the device has let go of its buffers. With these statuses nobody knows whether a
// write has been done, in part or as a whole, and with some devices (a network) it may
// still be done later. If the device was faster, the request ends as if nothing had
// been asked.
//
// # Gates
//
// A request with a Gate starts only if that lets it; lockify.Guard is one, and stands for
// a lock. When a gate has closed, Recheck takes back what is in flight, as Cancel does.
//
// # Progress
//
// A ring has no goroutine. What follows from the end of a request, such as the start
// of a linked one, or the end of a deadline, happens when its owner calls Peek or
// Wait. Who has other things to wait for, sets RingConfig.Notify and calls Arm.
//
// # Durability
//
// With Info.VolatileCache a write that has ended is durable after a Flush that was
// submitted later has succeeded, or at once with FUA. Without, each write is.
//
// # Costs
//
// Nothing is allocated for a request in the steady state. A memory device's ring does
// a 4 KiB request in about the time of the copy and 60 ns.
//
// Package blockdev opens no file and no socket.
package blockdev
