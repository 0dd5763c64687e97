// Package engine moves frames: between the nodes of a cluster and between a
// node and its clients. It knows package wire and nothing of locks.
//
//	   upper layer            upper layer
//	   LinkHandler            FrameHandler
//	       ^ | Send               ^ | Send
//	+------|-v--------+    +------|-v-------+
//	| Links           |    | FrameConn      |   frames: reassembly, checksum,
//	|  exactly once,  |    |  one connection|   decompression; queues, limits,
//	|  over many      |    |                |   one writer at a time (pump.go)
//	|  connections    |    |                |
//	+------|-^--------+    +------|-^-------+
//	       v |                    v |
//	   Handler / Conn         Handler / Conn
//	+---------------------------------------+
//	| Transport: netpoll | plain | mem      |   bytes; those of a FrameConn on a Unix
//	+---------------------------------------+   socket may go through memory: ring.go
//
// # Threads
//
// A frame is handled on the goroutine that read it, while its bytes still lie
// in the transport's buffer. OnIdle follows when nothing complete is left: what
// the handler collected during OnFrame is sent there, so batches grow with the
// load and an idle system does not wait. Sending never waits either: see
// pump.go. Callbacks of one peer, or of one connection, never overlap; those of
// different ones do.
//
// In lockifyd a handler on netpoll's loop also waits for what comes next on its connection
// (linger_linux.go). Who waits for an answer, or for the next request, looks for it for a while
// before it sleeps (spin.go).
//
// A connection's ring (ring.go) may be read by several goroutines, one at a time: the
// program's own, too, if it calls Watch and Until, or Tend (tend.go). So may the connections of
// plain on Linux (direct_linux.go), those between nodes as well (linkreader.go).
//
// Who connects for TLS is nobody until he has said something (speakers_linux.go).
//
// Who comes by TLS from where a connection was just good for nothing waits (penalty.go).
//
// # Buffers
//
// A payload given to OnFrame lives until OnFrame returns: copy what is kept. A
// frame to send comes from GetBuf and belongs to Send from then on. Links keep
// it until the peer has acknowledged it, and give it back to the pool.
//
// # Links
//
// Two nodes share one connection, which the smaller id dials; handshake.go has
// the three messages. Each direction numbers its frames. A frame carries the
// last number received; with nothing to send, a LinkAck does so after
// ackFrames, ackBytes or ackDelay. What is not acknowledged is kept and written
// again on the next connection, behind the number that the peer says it has;
// the receiver ignores what it had already. So a lost connection loses nothing
// and repeats nothing, and nobody above needs timers to send again.
//
// That holds for two given starts (instances) of the nodes. If a peer comes
// back as another instance, or has lost its memory, the link stays down and
// OnPeerReset says so: only a new view can sort that out.
//
// A half-open connection is found by pings, which also measure the round trip.
//
// # Limits
//
// A client that leaves more than SetMaxQueuedBytes unread is closed
// (ErrSlowReader). A peer that leaves more than MaxQueuedBytes unacknowledged
// makes Congested true: start no new work, but answers still go. At four times
// that the link fails for good (ErrOverrun). Received bytes: plain and mem read
// no more than one frame ahead. netpoll reads all that has come before it calls a
// handler, and cannot be told to stop; a connection that is maxReadAhead behind is
// closed (ErrReadAhead). Clients therefore bound what they have outstanding.
//
// # Which transport
//
// Measured round trips of one small frame over loopback on two cores, in one run:
// plain 39 us over TCP and 25 us over a Unix socket, netpoll 33 us and 29 us. On
// netpoll a handler runs on the event loop, so it must not wait for others on the
// same loop. netpoll holds thousands of idle clients without a goroutine and a read
// buffer for each. Between nodes of programs it is plain, as who waits for an answer can read it
// himself: 11 us free and 18 on one processor instead of 13 and 21, and with 16 under way half as
// many pairs again on one processor. Race tests run on plain and mem, because netpoll has other code
// for the race detector.
//
// Package engine must not import lockspace or cluster.
package engine
