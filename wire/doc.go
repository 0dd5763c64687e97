// Package wire is the byte format that lockify's nodes and clients speak. It
// turns messages into bytes and back, and does no I/O. It imports nothing of
// lockify; lockspace, engine and the client build on it.
//
//	sending                                        receiving
//	-------                                        ---------
//	buf := ReserveHeader(nil)                      ParseHeader      limits, before any memory
//	buf = msg.Append(buf)   ... more messages      CheckCRC         over the bytes as received
//	out := Compress(buf, &h, scratch)              Decompress       limit, before any memory
//	SealFrame(out, &h)      length, checksum       Messages.Next    decodes in place
//	       |                                              ^
//	       +--------------- one frame --------------------+
//	       | header 64 bytes | message | message | ...    |
//
// # Contract
//
//   - Hot paths (Append into enough room, SealFrame, ParseHeader, CheckCRC,
//     Decode, Messages, and Decompress with enough scratch) allocate nothing.
//   - A decoded Msg points into the buffer that it was read from: Name, Value,
//     Text, Locks, Ranges and Entries are valid as long as that buffer keeps its content. Copy
//     what must live longer.
//   - Received bytes never cause a panic, and no limit is judged after memory
//     was spent on it. Each error is fatal for the connection: there is no way
//     to find the next frame's start.
//   - There is one encoding for each message: what Decode accepts, Append gives
//     back byte for byte.
//   - Nothing here is safe for use by several goroutines on one value.
//
// All numbers are little-endian. Sizes are in bytes.
//
// # Frame header
//
// A frame is this header and Length bytes of payload. All messages of a frame
// belong to one shard of one lockspace (or to none) and to one kind.
//
//	offset size field      meaning
//	     0    4 magic      "LKFY" (4c 4b 46 59)
//	     4    1 version    of the format, as negotiated
//	     5    1 kind       1 node, 2 link, 3 client, 4 mail (membership), 5 look (questions
//	                      of operators); the payload of these two is none of this format
//	     6    2 flags      bit 0: payload is compressed; other bits: refused
//	     8    4 length     bytes of the payload as sent, at most 1048576
//	    12    2 count      messages in the payload, at most 16384
//	    14    2 shard      the sender's shard
//	    16    4 lockspace  CRC32C of the lockspace's name (1 if that is 0); 0: none
//	    20    4 crc        CRC32C of header (these four bytes zero) and payload as sent
//	    24    8 epoch      number of the view that the sender was in
//	    32    8 instance   the sender's node instance, or the client's session
//	    40    8 clock      the sender's token clock
//	    48    8 seq        place in the link's sequenced stream, from 1; 0: not sequenced
//	    56    8 ack        last seq that the sender has received in order
//
// CRC32C is the Castagnoli polynomial, as in iSCSI.
//
// # Compression
//
// With flag bit 0 the payload is one S2 block: a varint with the decoded size,
// then S2 (a superset of Snappy) data, no stream framing. The decoded size must
// not be above 1048576; the receiver reads it first and refuses a larger one. A
// sender compresses only payloads above 1024 bytes, only if they become
// smaller, and only if both ends have offered FeatureCompress. count and all
// limits of messages speak of the decoded payload.
//
// # Message
//
//	offset size field
//	     0    1 type      the number in the message table
//	     1    1 reserved  0; anything else is refused
//	     2    2 length    of the message, these 4 bytes included
//	     4      fields    those of the message table, in the order of the field table
//
// The payload holds exactly count messages with nothing between or behind them.
// The fields fill the message exactly. A message travels only in frames of its
// kind: types 1 to 63 node, 64 to 127 link, 128 to 255 client.
//
// # Fields
//
// Each field of a message's list travels, in this order, also if it is zero.
//
//	field     size meaning
//	name      1+n  u8 n, n bytes; 1 to 64: a resource's name, or a delegated range's key
//	life        16 u64 instance, u64 counter: the life of the name; LOOKUP: the one proposed
//	other       16 like life: LOOKUP, NOTIFY: the life that is gone; REJECT: the present master's; ADOPT and its answers: the claimant's; TRACE, TRACE_REQ: the trace ID, its bytes as they are
//	claim        8 node-wide number of a claim
//	instance     8 FWD: the requester's; LINK_HELLO, LINK_WELCOME: the sender's; WELCOME: the session; PURGE: the orphans' session, 0: all; NO_RANGE: the owner's; RETIRE: the deleter's; RELAY: the first sender's
//	lock         8 the requester's lock id; to and from a client: the client's handle of the lock
//	op           4 counts the operations of a lock
//	mode         1 0 NL, 1 CR, 2 CW, 3 PR, 4 PW, 5 EX; DENIED, AST: 255 too, none; else refused
//	flags        4 request flags (LKF_... of the kernel's DLM); OPEN_SPACE, LINK_SPACE: the range rule
//	status       1 0 to 30, see Status; else refused
//	bits         1 see BitValue and following; others are sent as 0 and not looked at
//	hops         1 one-way messages between nodes that the request has waited for
//	since        1 set of modes granted since the claim, 1<<mode; bits 6 and 7: refused
//	num          4 a small number; the message says which
//	req          8 correlates an answer with its request
//	token        8 fencing token
//	seq          8 version of the value; LINK_HELLO, LINK_WELCOME: last frame received; DELEGATE, RETURN: generation of the delegation; TRACE, TRACE_REQ: the span ID, its bytes as they are
//	idle         8 nanoseconds since an incompatible mode was held
//	wait         8 nanoseconds from now after which the request is withdrawn if it still waits; 0: never; LEASE: how long the lease lasts, 0: it has ended, from 1<<63 - 1: for ever
//	features     8 feature bits
//	owner        8 who waits as a whole, for deadlock detection, unique at the requester; 0: none; from a client: below 1<<32
//	value      2+n u16 n, n bytes; 0 to 256: lock value block
//	text       2+n u16 n, n bytes; 0 to 1024
//	locks   2+26*n u16 n, n lock records; n from 0 to 512
//	ranges  2+25*n u16 n, n range records; n from 0 to 1024
//	entries    2+n u16 n, n bytes of directory entries; n from 0 to 16384
//	path       2+n u16 n, n bytes: 0 to 32 edges of a wait-for graph
//
// A lock record has no holes:
//
//	offset size field
//	     0    8 lock     lock id at its owner
//	     8    4 op
//	    12    4 flags
//	    16    8 owner
//	    24    1 granted  mode held, 255: none
//	    25    1 wanted   mode requested, 255: nothing is waiting
//
// A range record has no holes:
//
//	offset size field
//	     0    8 owner    the program's number of the owner, not 0
//	     8    8 start    first byte, at most 1<<63 - 1
//	    16    8 end      last byte, from start to 1<<63 - 1; else refused
//	    24    1 type     0 none, 1 read, 2 write; else refused
//
// A directory entry is a name as above and the life of its master as above:
//
//	offset size field
//	     0  1+n name
//	   1+n   16 life
//
// An edge of a wait-for graph, which says that the waiter waits for the blocker:
//
//	offset size field
//	     0    1 kind     1: the blocker stands ahead in the queue, 0: it holds, 2: it holds byte ranges; else refused
//	     1   16 life     of the name at its master
//	    17   29 waiter   instance, lock, op (4), owner, mode (1) wanted
//	    46   29 blocker  instance, lock, op (4), owner, mode (1) held, or wanted if it is ahead
//	    75  1+n name     u8 n, n bytes; 1 to 64
//
// and, of kind 2, which bytes the waiter wants, and which the blocker has:
//
//	offset size field
//	  76+n    8 start    of the waiter: the first byte, at most 1<<63 - 1
//	  84+n    8 end      of the waiter: the last byte, from start to 1<<63 - 1; else refused
//	  92+n    8 start    of the blocker
//	 100+n    8 end      of the blocker
//
// As an example, a CONFIRM of claim 3 for the name "ab" with life 1/2:
//
//	05 00 1f 00 02 61 62 01 00 00 00 00 00 00 00 02
//	00 00 00 00 00 00 00 03 00 00 00 00 00 00 00
//
// # Messages
//
// Number, name, fields; below, direction and meaning. A number is never used
// again for something else.
//
//	  1 LOOKUP: name life other lock op mode flags hops owner
//	    requester -> directory: who masters this name? Carries the request itself.
//	  2 YOU: name life lock op hops
//	    directory -> requester: nobody did; now you do, with the life you proposed.
//	  3 FWD: name life instance lock op mode flags hops owner
//	    directory -> master: this request is for you; answer its requester (instance).
//	  4 NOTIFY: name life other claim
//	    claimant -> directory: I have made myself master; other: a master I know to be gone.
//	  5 CONFIRM: name life claim
//	    directory -> claimant: recorded, the claim is closed.
//	  6 REJECT: name life other claim
//	    directory -> claimant: other is the life of the present master; adopt.
//	  7 ADOPT: name life other claim bits since token seq value locks
//	    claimant -> master (life): take over my locks, granted under my life other.
//	    since 0: the adoption was clean, and this is the value that I had written.
//	  8 ADOPTED: name life other claim bits token seq idle value
//	    master -> claimant: taken; how long no incompatible mode was held, and the last token.
//	  9 CONFLICT: name life other claim token idle
//	    master -> claimant: not taken, incompatible locks exist.
//	 10 REMOVE: name life
//	    master -> directory: this life of the name has ended.
//	 11 NOTMASTER: name life lock op hops
//	    -> requester or claimant: I am not, or no more, the master of that life.
//	 12 REQUEST: name life lock op mode flags hops owner
//	    requester -> master: new lock.
//	 13 CONVERT: name life lock op mode flags bits hops seq value
//	    requester -> master: other mode, with a value if it is written back.
//	 14 UNLOCK: name life lock op flags bits seq value
//	    requester -> master: the lock goes, with a value if it is written back.
//	 15 CANCEL: name life lock op
//	    requester -> master: withdraw the waiting operation op.
//	 16 QUEUED: name life lock op hops
//	    master -> requester: your request waits here.
//	 17 DENIED: name life lock op mode status bits hops path
//	    master -> requester: not granted, and why (path: the deadlock); mode: what the lock holds now, 255 nothing.
//	 18 GRANT: name life lock op mode bits hops token seq value
//	    master -> requester: granted.
//	 19 BAST: name life lock mode
//	    master -> holder: you block somebody who wants mode.
//	 20 REG: name life bits token seq value locks
//	    -> new directory: I master this name; with a life of its own: be master of my orphaned locks.
//	 21 DONE: num seq
//	    -> each member: all my registrations of view seq have been sent; num: my shard, shards<<16.
//	 22 RETURN: name num seq entries
//	    owner -> directory: the range with this key goes back, and its entries; num: messages still to come.
//	 23 STALE: name life claim num
//	    -> sender: your message of type num is of a view before mine; send it again.
//	 24 NOTDIR: name life claim num
//	    -> sender: I am not the directory of this name for your message of type num.
//	 25 DELEGATE: name num seq entries
//	    directory -> owner: the range with this key is yours, and its entries; num: messages still to come.
//	 26 RETIRE: name life instance lock
//	    master -> directory: this life has ended; tell its deleter (instance). To the master: end it.
//	 27 RETIRED: name life lock status
//	    -> deleter: how the retirement that the UNLOCK of that lock has asked for ended.
//	 28 PROBE: name life lock op num req path
//	    requester -> master: does what my waiting request waits for wait for me? num: round; path: so far; req: of a byte range, 0: the lock's.
//	 29 CHASE: num path
//	    master -> node of the last edge's blocker: go on with all that its owner waits for.
//	 30 VERIFY: num path
//	    does the path stand? num 2i+1: to edge i's blocker's node, 2i: to its master; the next step is num-1, behind 0 end edge 0's waiter.
//	 32 OPEN: num seq
//	    -> each member: I have what view seq owes me and answer for all my names; num as in DONE.
//	 33 SENT: num seq
//	    -> each member: all my orphans of views up to seq have been reported; DONE follows. num as there.
//	 36 ASK_RANGE: name
//	    -> directory: delegate the range with this key to me.
//	 37 NO_RANGE: name instance status
//	    directory -> who has asked: no, and why; instance: the present owner's, if there is one.
//	 38 RELAY: name life other claim instance lock op mode flags hops num owner
//	    -> owner or directory of the name's range: a LOOKUP, NOTIFY or REMOVE (num: its type) that reached another node.
//	 40 PURGE: instance
//	    -> each shard of a node: unlock the orphans that session instance has left, 0: all.
//
//	 45 RANGE: name life lock flags bits hops req ranges
//	    owner -> master: one byte range for the handle lock: to lock, to unlock (type 0) or to test.
//	 46 RANGE_CANCEL: name life lock req
//	    owner -> master: withdraw the waiting request req.
//	 47 RANGE_DONE: name life instance lock status hops req text ranges path
//	    master -> owner: outcome of req; instance, ranges: who is in the way, and with what; path: the deadlock.
//	 48 RANGE_REG: name life lock ranges
//	    owner -> new master: byte ranges of an orphaned handle, to rebuild; behind its REG.
//
//	 49 TRACE: name other instance lock num seq
//	    in front of LOOKUP, FWD, RELAY, REQUEST, CONVERT, UNLOCK or RANGE for the lock of requester instance: its span; num: trace flags. With FeatureTrace.
//
//	 64 LINK_HELLO: instance num seq features text
//	    dialling node: who I am, num: version range, seq: last frame received; text: cluster name.
//	 65 LINK_WELCOME: instance num seq features text
//	    answer: who I am, num: version range, seq: last frame received; text: cluster name.
//	 66 LINK_REFUSE: status num text
//	    either end: why not, instead of going on; num: version range spoken here.
//	 67 LINK_ACK: num
//	    carries nothing but the header's ack; num is 0.
//	 68 LINK_PING: num
//	    asks for a LINK_PONG with the same num.
//	 69 LINK_PONG: num
//	    answers a LINK_PING.
//	 70 LINK_SPACE: flags num text
//	    the lockspace of the header exists here; flags: range rule; num: length of its value blocks; text: its name.
//	 71 LINK_CLOSE: text
//	    orderly end, and why.
//
//	128 HELLO: num features text
//	    client: num: version range, features, text: who it is, for logs.
//	129 WELCOME: instance num features text
//	    node: instance: the session, num: version chosen; text: who it is, for logs.
//	130 REFUSED: status num text
//	    node: why not; num: version range spoken here.
//	131 OPEN_SPACE: flags num req text
//	    client: open the lockspace named text; flags: range rule; num: length of its value blocks.
//	132 SPACE_OPENED: status num req text
//	    node: outcome of OPEN_SPACE; num: its number for frame headers; text: why not.
//	133 CLOSE_SPACE: req
//	    client: release all locks in the lockspace of the header and close it.
//	134 SPACE_CLOSED: status req text
//	    node: outcome of CLOSE_SPACE.
//	135 LOCK_REQ: name mode flags req wait owner
//	    client: new lock.
//	136 CONVERT_REQ: lock mode flags bits req wait value
//	    client: other mode, with a value if it is written back.
//	137 UNLOCK_REQ: lock flags bits req value
//	    client: the lock goes, with a value if it is written back.
//	138 CANCEL_REQ: lock req
//	    client: withdraw the operation that was asked for with req.
//	139 AST: lock mode status bits hops req token seq value text
//	    node: the operation req has completed; mode: what the lock holds now, 255 nothing.
//	140 BLOCKING_AST: lock mode
//	    node: the lock blocks somebody who wants mode.
//	141 CONFIRMED: lock
//	    node: the claim under which the lock was granted is closed.
//	142 LOST: lock status text
//	    node: the lock is lost, and why.
//	143 BARRIER_REQ: req
//	    client: answer with AST when all claims that are open now are closed.
//	144 SESSION_LOST: status text
//	    node: the session and all its locks are gone.
//	145 PING: num
//	    client or node: asks for a PONG with the same num.
//	146 PONG: num
//	    answers a PING.
//	147 LEASE_REQ: req
//	    client: how long does your lease last? With FeatureLease.
//	148 LEASE: req wait
//	    node: so long, at least, from when it had the LEASE_REQ.
//	150 PURGE_REQ: instance num req
//	    client: unlock the orphans of node num that session instance (0: any) has left; answered with AST.
//
//	155 DEADLOCK_AST: lock mode status bits hops req path
//	    node: in place of AST: the operation req has ended in the deadlock path.
//
//	158 RANGE_REQ: lock flags req ranges
//	    client: one byte range for the handle lock: to lock, to unlock (type 0) or to test.
//	159 RANGE_AST: instance lock status hops req text ranges path
//	    node: outcome of RANGE_REQ req; instance, ranges: who is in the way, and with what; path: the deadlock.
//	160 RANGE_CANCEL_REQ: lock req
//	    client: withdraw the RANGE_REQ req.
//	163 DELEGATE_REQ: name req
//	    client: have the range with this key handed to the node; answered with AST (token: the owner's node id, if there is another).
//	164 RETURN_REQ: name req
//	    client: have the node give the range back; answered with AST.
//	165 CONFLICT_AST: name num
//	    node: it has made a wrong claim of this name, which was node num's (0: not known).
//	166 IDENTITY: instance
//	    node, right behind WELCOME: its instance. With FeatureIdentity.
//	167 RING: num
//	    node, then client, then node: num: bytes of a ring, 0: no ring. With FeatureRing; see below.
//	168 TRACE_REQ: other num req seq
//	    client, right in front of LOCK_REQ, CONVERT_REQ, UNLOCK_REQ or RANGE_REQ req: its span, as in TRACE. With FeatureTrace.
//
// # Versions and features
//
// The first message on a connection is HELLO (client) or LINK_HELLO (dialling
// node). Its num is a range of versions: low 16 bits the lowest, high 16 bits
// the highest. The version used is the highest that both speak; each later
// frame, in both directions, carries it in the header. WELCOME has it in its
// num; LINK_WELCOME has the other node's range, from which both ends find the
// same version. If there is none, the answer is REFUSED or LINK_REFUSE with
// status BadVersion, the answering end's range in num and the reason in text,
// and the connection is closed. Frames up to and including the answer carry
// version 1 in the header, and their layout is the same in all versions.
//
// features offers what the sender can do; each end uses the intersection of what
// it has sent and received. The answering end may send its whole offer or the
// intersection already. A bit that one does not know is ignored, thus not used.
// New messages need a new feature or a new version: an unknown type is an error.
//
//	bit 0  FeatureCompress  reads compressed frames
//	bit 1  FeatureClaims    understands NOTIFY; towards a peer without it nobody
//	                        grants itself new names
//	bit 2  FeatureLease     of a client and its node: LEASE_REQ, LEASE and status 29;
//	                        to a client without it the node says status 11 instead
//	bit 3  FeatureIdentity  of a client and its node: IDENTITY
//	bit 4  FeatureRing      of a client and its node: RING
//	bit 5  FeatureLook      of two nodes: frames of kind 5
//	bit 6  FeatureAccess    of a client and its node: the status NotAllowed; else Invalid, with the same text
//	bit 7  FeatureTrace     of two nodes: TRACE; of a client and its node: TRACE_REQ. Offered by nodes that make spans
//	bit 8  FeatureClose     of all nodes of a cluster: lockspaces are closed that nobody uses
//
// # Rings
//
// On a Unix socket frames may go through memory instead. If WELCOME has FeatureRing,
// RING follows it, and IDENTITY; with its bytes the socket has carried a file
// descriptor (SCM_RIGHTS) of sealed memory with two rings of num bytes, a power of two.
// The client answers with RING: with num 0 if it goes on without, else with the same
// num, and this is its last frame on the socket: all further ones are in the ring. The
// node answers that with RING, its last one there. From then on each byte on the
// socket, of any value, is a bell that wakes the other end, and the socket's end is the
// connection's. A ring is a stream of frames as the socket was; package engine/shm has
// the layout of the memory.
package wire
