// Package host is the NVMe/TCP initiator: it connects to a controller, and makes a
// blockdev.Device of each of its namespaces.
//
//	program            blockdev.Ring           Controller.Admin, LogPage
//	   |                    |                          |
//	   |              +-----v------+             +-----v------+
//	   |              | queue      |  news       | keeper     | one goroutine:
//	   |              | (Backend)  <-------------+            | keep alive, events,
//	   |              |            +-------------> bringup    | connecting again
//	   |              +-----+------+  broken     +-----+------+
//	   |                    | commands, ends           |
//	   |   pure       +-----v------+             +-----v------+
//	   |              | conn       |             | conn       | bytes in, bytes out
//	   |              +-----+------+             +-----+------+
//	   |                    | Output, Room             |
//	   |              +-----v------+             +-----v------+
//	   |              | link       |             | link       | readv, writev, poll
//	   |              +-----+------+             +-----+------+
//	   |                    | TCP, queue 1..           | TCP, admin queue
//
// # Pure parts
//
// conn is a connection and its queue pair: ICReq, command capsules with and without
// data, R2T and H2CData, C2HData with and without SUCCESS, digests, TermReq. Its caller
// takes Output to the peer and says so with Sent, puts what comes into Room and says so
// with Received, gives commands with Submit and takes their Ends. Every length, offset
// and CID of the peer is checked; what breaks the rules ends the connection with the
// *nvme.FatalError that Err gives, and a TermReq in the output. bringup is the way from
// a fresh admin connection to a controller that is known. Neither has a goroutine, a
// clock or a socket.
//
// # Authentication
//
// With Config.Secret the host authenticates itself (package auth) on each queue, right after
// its Connect, if the controller wants that; with Config.ControllerSecret the controller has
// to as well, or is not spoken to. Discovery controllers ask nobody.
//
// # Rings
//
// A ring is a queue pair with a connection of its own. It has no goroutine: its owner
// writes in Submit, one writev for the whole batch if the socket takes it, and reads in
// Peek and Wait. With RingConfig.Spin Wait looks into the socket without sleeping.
//
// Buffers of writes go to writev as they are. Data of reads is read straight into its
// buffer if a PDU has 16 KiB or more, but for some 256 bytes; smaller data comes in one
// read with much else, and is copied once more, out of a buffer that fits into a core's
// cache. In the steady state nothing is allocated.
//
// Cancel ends a request at once. The controller is asked to abort it; data that it
// still asks for is sent from a copy, and an answer that comes late is passed over.
//
// # When a connection breaks
//
// If one connection of a controller breaks, or no Keep Alive is answered in time, all
// are given up, and made again, with growing pauses (Config.Retry bounds for how long).
// Meanwhile requests wait. Those that were under way then
//
//   - are done again if nobody can tell: reads, compares, verifies, and all that
//     had not been sent at all;
//   - else end with blockdev.StatusLost: writes of all sorts, and flushes (a controller
//     that was restarted would say yes, though it has lost what it was to keep). They
//     may have been done, and may still be done for a while.
//
// A request that waits when the host gives up ends with blockdev.StatusNotReady: it
// was not done.
//
// A lost write may also be late: a target that has not noticed the loss may still do it
// after a later write to the same place has succeeded over the new connection. Who
// can't live with that waits for the target's keep alive time, or holds a reservation.
//
// # Several paths
//
// OpenPaths makes one device of several controllers that reach the same namespace. Each
// ring has a queue pair on each of them, and uses the first that is there and, by
// asymmetric namespace access, the best. What a broken path did not do, and what may be
// done twice, goes over another one at once; so do requests that a controller turns
// down because it does not reach the namespace. A write that ends with another error of the
// path may have been done: it is not moved, and ends with blockdev.StatusLost, as it does
// with a single path.
//
// A namespace that has shrunk, has other blocks, or another UUID when it comes back is
// not taken for the same one. Nor can rings go on with one that takes less at a time, has lost
// an operation, or has got a volatile cache: programs go by what blockdev.Info has told them.
package host
