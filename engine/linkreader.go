package engine

// LinkReader has the reader's role of the connection to a peer: who waits for an answer of it
// reads that himself, which spares the way through another goroutine. Its holder must call Until.
type LinkReader struct {
	l    *link
	c    hereReader
	over func() bool // of the holder
	look func() bool // of this reader, made once
	n    int         // looks
}

// crowdRest is how often Watch says no behind somebody else's messages: for many callers the
// goroutine of the connection reads many answers at once.
const crowdRest = 64

// newLinkReader gives nil if c has no reader's role.
func newLinkReader(l *link, c Conn) *LinkReader {
	here, ok := c.(hereReader)
	if !ok {
		return nil
	}
	r := &LinkReader{l: l, c: here}
	r.look = r.ended
	return r
}

// Watch takes the reader's role of the connection to a peer, for a caller who waits for what
// that sends. nil: others have it or want it as well, or the transport has no such role.
func (ls *Links) Watch(peer uint16) *LinkReader {
	l := ls.link(peer)
	if l == nil || l.crowd.Load() > 0 && l.crowd.Add(-1) >= 0 {
		return nil
	}
	l.mu.Lock()
	s := l.sess
	l.mu.Unlock()
	if s == nil || s.reader == nil || !s.reader.c.readHere() {
		return nil
	}
	return s.reader
}

// Until handles what comes, on the caller's goroutine, until over says true, something has come
// and it still does not, or nothing has come for a while, and gives the role up. The caller must not hold what handlers
// need.
//
// What has come may have made ready whoever over waits for in turn, and with one processor he
// does not run before this ends.
func (r *LinkReader) Until(over func() bool) {
	r.over, r.n = over, 0
	here(func() { r.c.until(r.look) })
}

// ended is asked before there was anything, and behind what has come. The role is held.
func (r *LinkReader) ended() bool {
	over := r.over()
	if r.n++; !over && r.n > 1 {
		r.l.crowd.Store(crowdRest)
		over = true
	}
	if over {
		r.over = nil // it keeps what it looks at
	}
	return over
}
