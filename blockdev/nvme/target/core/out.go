package core

// output is what a session has to send: pieces of the arena, where headers and
// completions are made, and the data of commands.
type output struct {
	segs  [][]byte
	head  int // segments before it have been sent
	arena []byte

	made, sent uint64 // bytes, since the start of the session
	ends       []responseEnd
	endHead    int

	lent int    // the segment that is borrowed
	hold []byte // room for a copy of all of it; nil: none is borrowed
}

// responseEnd is where the last byte of a command's response is. When it has been sent,
// the command is over, and its slot and buffer are free.
type responseEnd struct {
	at   uint64
	slot int32
}

const (
	arenaSize = 16 << 10
	// maxHead is more than the bytes that are made at a time: a header with its padding
	// and digests.
	maxHead = 384
)

// room gives the arena, with room for maxHead bytes.
func (o *output) room() []byte {
	if cap(o.arena)-len(o.arena) < maxHead {
		// What is in the old one stays where it is until it has been sent.
		o.arena = make([]byte, 0, arenaSize)
	}
	return o.arena
}

// take sends what has been appended to what room gave.
func (o *output) take(arena []byte) {
	n := len(arena) - len(o.arena)
	start := len(o.arena)
	o.arena = arena
	o.made += uint64(n)
	if last := len(o.segs) - 1; last >= o.head && start > 0 {
		b := o.segs[last]
		// It goes on where the last segment ends.
		if cap(b) > len(b) && &b[:len(b)+1][len(b)] == &arena[start] {
			o.segs[last] = b[:len(b)+n]
			return
		}
	}
	o.segs = append(o.segs, arena[start:])
}

// data sends b, which stays as it is until it has been sent.
func (o *output) data(b []byte) {
	if len(b) > 0 {
		o.made += uint64(len(b))
		o.segs = append(o.segs, b[:len(b):len(b)])
	}
}

// lend notes that what data was just called with is borrowed; room is for its copy.
func (o *output) lend(room []byte) { o.lent, o.hold = len(o.segs)-1, room }

// keep copies what is borrowed and has not been sent.
func (o *output) keep() {
	if o.hold != nil && o.lent >= o.head && o.lent < len(o.segs) {
		b := o.segs[o.lent]
		rest := o.hold[len(o.hold)-len(b):]
		copy(rest, b)
		o.segs[o.lent] = rest[:len(rest):len(rest)]
	}
	o.hold = nil
}

// end notes that the response of the command in slot is complete.
func (o *output) end(slot int32) { o.ends = append(o.ends, responseEnd{o.made, slot}) }

// advance notes that n bytes have been sent.
func (o *output) advance(n int) {
	o.sent += uint64(n)
	for n > 0 {
		b := o.segs[o.head]
		if n < len(b) {
			o.segs[o.head] = b[n:]
			return
		}
		n -= len(b)
		o.segs[o.head] = nil
		o.head++
	}
	if o.head == len(o.segs) {
		o.segs, o.head, o.arena = o.segs[:0], 0, o.arena[:0]
	}
}

// over gives the slot of a command whose response has been sent; false: there is none.
func (o *output) over() (int32, bool) {
	if o.endHead == len(o.ends) {
		o.ends, o.endHead = o.ends[:0], 0
		return 0, false
	}
	e := o.ends[o.endHead]
	if e.at > o.sent {
		if o.endHead > len(o.ends)/2 {
			o.ends = o.ends[:copy(o.ends, o.ends[o.endHead:])]
			o.endHead = 0
		}
		return 0, false
	}
	o.endHead++
	return e.slot, true
}

// pending gives what is to be sent now.
func (o *output) pending() [][]byte { return o.segs[o.head:] }
