// Package core is the controller's side of NVMe/TCP as state machines: bytes from hosts
// go in, bytes for hosts and requests for devices come out. Package target moves them.
//
//	 bytes          Room, Received              Next              requests
//	------> +-----------------------------------------------+ ------------> devices
//	        | Session: one connection, one queue            |
//	<------ |  PDUs, slots of commands, buffers, fused pairs| <------------
//	 bytes  +------------------|----------------------------+    Done
//	        Output, Sent       | Connect, admin commands
//	        +------------------v---+     +-----------------------+
//	        | Controller           | n:1 | Subsystem             |
//	        |  properties, features|---->|  hosts, namespaces    |
//	        |  events, logs        |     |  reservations         |
//	        +----------------------+     +-----------|-----------+
//	                                                 | n:1
//	                        Target: ports, discovery, ANA, time (Tick)
//
// # A command
//
// A CapsuleCmd takes a slot, whose index is the tag of R2Ts and requests. Its data comes in
// the capsule, or gets a buffer (it waits if the queue has MaxBuffered bytes) and an R2T.
// With its data a command is run: admin commands at once; I/O commands become requests,
// one or, for Flush of all namespaces and Dataset Management, one after the other. The
// slot and the buffer are free when the last byte of the response has been sent: what a
// host can have going is what its queue has entries for, whatever it sends and however
// slowly it reads.
//
// Whether the host may do what it asks for (controller enabled, ANA state, reservations) is
// looked at when the command comes and again when its request is given out.
//
// # Authentication
//
// A queue whose host has a secret in SubsystemConfig takes nothing but Authentication Send
// and Receive after its Connect, until package auth says that the host is who it says.
// What that has to compute is left to Work, which needs nobody else to wait. A host that
// fails is told why, and its session ends.
//
// # Who may call what at the same time
//
// A session is used by one goroutine at a time. If Exclusive says so, or the call is
// Close or one of Target or Subsystem, no other session of the target may be used
// meanwhile; else others that are not Exclusive may. So I/O goes on in parallel, and
// only what changes what sessions share needs the target for itself. What one session
// does to another (an event, the end of its controller) waits in the other one, which
// gets a call of its wake function; it then calls Received(0).
//
// # Reservations
//
// A reservation command that takes the right to write from somebody is answered when no
// such write is with a device any more. Whoever has got the answer may rely on that: a
// node that has been cut off does not write behind it. Reservations are kept by
// SubsystemConfig.Store, before the command is answered, if the host has asked for that.
//
// # Hostile hosts
//
// What breaks the rules of the transport ends the session with a TermReq; all else ends the
// command. A session that has no queue after ConnectTimeout ends, as does one that has not
// authenticated itself after AuthTimeout, if it has to.
package core
