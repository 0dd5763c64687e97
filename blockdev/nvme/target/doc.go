// Package target exports block devices over NVMe/TCP, to the Linux kernel's initiator,
// SPDK's, or that of package host.
//
//	 hosts
//	   |  TCP
//	+--v------------------------------------------------------------+
//	| Server     a goroutine for each connection:                   |
//	|   read what there is --> core.Session --> rings of the        |
//	|   write what there is <-- (PDUs, commands) <-- namespaces     |
//	+---------------------------------------------------------------+
//	                                |
//	                        blockdev.Device: memory, file, device
//
// A round of a connection reads with one system call as much as there is, has the session
// look at all of it, submits all requests at once, and sends all that is ready with one
// system call. Data of large writes is read where the device takes it from; what is read
// from a device goes to the socket from where the device has put it. If the device is
// memory (blockdev.Direct), reads of 32 KiB and more are sent from there, and the data of
// such a write is read to there if all of it has come. Rounds use raw
// non-blocking calls; when there is nothing to do, the goroutine waits in Go's event loop.
// Devices that have something wake it by a deadline that is over.
//
// # Locks
//
// Server.mu guards what sessions share: an exclusive session (admin queues, reservation
// commands) holds it alone for a round, I/O queues share it. It is not held while
// bytes are read or sent, but for writes that are read to a device's memory: they are done
// before a reservation that forbids them, or not at all. A device's memory is borrowed
// for one read or write at a time, and for one system call that does not wait.
//
// # Durability
//
// A write is answered when the device has ended it, and is as durable as that says: hosts
// are told of a volatile cache if a namespace has one, and a Flush is answered when the
// device's Flush has ended.
package target
