package engine

import "fmt"

// outFrame is a sealed frame that the peer has not acknowledged.
type outFrame struct {
	buf []byte
	due int64 // not to be written before; 0: no delay
}

// outQueue holds the sequenced frames of one direction of a link, from the
// first one not acknowledged to the last one queued. Sequence numbers:
//
//	acked <= written <= taken < next()
//	  |        |          |
//	  |        |          the writer has got them, on this connection
//	  |        their write has returned: nobody reads the memory any more
//	  the peer has got them
//
// A frame's buffer goes back to the pool when it is both acked and written.
type outQueue struct {
	frames  []outFrame
	head    int    // frames[head] has number base
	base    uint64 // from 1
	bytes   int    // in frames[head:]
	taken   uint64
	written uint64
	acked   uint64
}

// queueKept is the room, in frames, that an empty list keeps after a burst.
const queueKept = 4096

func (q *outQueue) len() int { return len(q.frames) - q.head }

// next is the number that push gives.
func (q *outQueue) next() uint64 { return q.base + uint64(q.len()) }

func (q *outQueue) push(buf []byte, due int64) {
	if q.head > 64 && q.head > len(q.frames)/2 {
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, outFrame{buf, due})
	q.bytes += len(buf)
}

// take appends frames to write, in order, of at most about limit bytes. It
// stops at the first that is not due at now.
func (q *outQueue) take(bufs [][]byte, limit int, now int64) [][]byte {
	for q.taken+1 < q.next() && limit > 0 {
		f := &q.frames[q.head+int(q.taken+1-q.base)]
		if f.due > now {
			break
		}
		bufs = append(bufs, f.buf)
		limit -= len(f.buf)
		q.taken++
	}
	return bufs
}

// nextDue is when the next frame may be written; false: there is none.
func (q *outQueue) nextDue() (int64, bool) {
	if q.taken+1 >= q.next() {
		return 0, false
	}
	return q.frames[q.head+int(q.taken+1-q.base)].due, true
}

// ack notes what the peer has got. Numbers may repeat and grow; a peer that
// acknowledges what it was never sent is an error.
func (q *outQueue) ack(n uint64) error {
	if n > q.taken {
		return fmt.Errorf("%w: frame %d acknowledged, %d sent", ErrProtocol, n, q.taken)
	}
	q.acked = max(q.acked, n)
	return nil
}

// trim gives acknowledged buffers back.
func (q *outQueue) trim() {
	for q.len() > 0 && q.base <= min(q.acked, q.written) {
		f := &q.frames[q.head]
		q.bytes -= len(f.buf)
		PutBuf(f.buf)
		*f = outFrame{}
		q.head++
		q.base++
	}
	if q.len() == 0 {
		q.frames, q.head = q.frames[:0], 0
		if cap(q.frames) > queueKept {
			q.frames = nil
		}
	}
}

// canResume says that a peer that got frames up to n can go on from there.
func (q *outQueue) canResume(n uint64) bool { return n+1 >= q.base && n <= q.taken }

// resume starts again behind n on a new connection and returns how many
// frames will be written a second time. Nobody may be writing.
func (q *outQueue) resume(n uint64) (again uint64) {
	again = q.taken - n
	q.taken, q.written, q.acked = n, n, max(q.acked, n)
	q.trim()
	return again
}

// drop forgets all frames. Their buffers are left to the garbage collector,
// because somebody may be writing them.
func (q *outQueue) drop() {
	q.base = q.next()
	q.taken, q.written, q.acked = q.base-1, q.base-1, q.base-1
	q.frames, q.head, q.bytes = nil, 0, 0
}
