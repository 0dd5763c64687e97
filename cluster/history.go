package cluster

// history is the last commands that have changed the state, so that a member
// that has missed some gets all of them, in order.
type history struct {
	events [][]byte
	last   uint64 // version after the last one
	bytes  int
}

// add remembers a command that led to a version.
func (h *history) add(version uint64, event []byte) {
	h.events = append(h.events, event)
	h.last = version
	h.bytes += len(event)
	for len(h.events) > maxEvents || h.bytes > maxEventBytes {
		h.bytes -= len(h.events[0])
		h.events = h.events[1:]
	}
}

// since gives what follows a version, false: it is not known any more.
func (h *history) since(version uint64) ([][]byte, bool) {
	if version >= h.last {
		return nil, true
	}
	if n := h.last - version; n <= uint64(len(h.events)) {
		return h.events[uint64(len(h.events))-n:], true
	}
	return nil, false
}

// appendSnapshot encodes a state and its history.
func appendSnapshot(b []byte, s *State, h *history) []byte {
	b = s.Append(b)
	b = appendUint(b, uint64(len(h.events)))
	for _, e := range h.events {
		b = appendBytes(b, e)
	}
	return b
}

func decodeSnapshot(b []byte) (*State, *history, error) {
	r := &reader{b: b}
	s := decodeState(r)
	h := &history{last: s.Version}
	for range r.count(maxEvents, 1) {
		e := append([]byte(nil), r.bytes(maxEventBytes)...)
		h.events, h.bytes = append(h.events, e), h.bytes+len(e)
	}
	return s, h, r.end()
}
