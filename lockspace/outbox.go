package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// The outbox is the release fence. A name that this node has just created can
// only be learned by others through something this node lets go. So a message
// that releases something, or grants it to another node, waits until all
// claims that the node had open when the message was made are closed. Which
// messages do is the gating table of docs/protocol.md; the callers of send
// say so. All messages to one node about one name keep their order, those
// that need not wait included.

// gating says whether a message waits for open claims.
type gating bool

const (
	ungated gating = false
	gated   gating = true
)

// unless gives gated, unless a test has switched the rule off.
func (s *Shard) unless(rule Rules) gating { return gating(!s.off(rule)) }

// never gives ungated, unless a test has switched the exemption off.
func (s *Shard) never() gating { return gating(s.off(GateAnswers)) }

// held is a run of messages to one node about one name. The first waits for
// the fence, those behind it wait for their turn.
type held struct {
	fence   uint64 // all claims up to this one must be closed
	since   int64
	to      uint16
	res     *resource
	msgs    []wire.Msg
	next    *held // in the outbox, by fence
	resNext *held // of the same resource
}

type outbox struct {
	head, tail *held
	n          int // messages
}

// send hands m, which is about r, to another node, now or when it may go.
func (s *Shard) send(r *resource, to uint16, m *wire.Msg, gate gating) {
	m.Name = r.name()
	if to == s.self {
		s.keepHome(m)
		return
	}
	if r.held != nil {
		s.releaseHeld() // the claims may have closed since the last look
	}
	if gate == gated && !s.off(NoFence) {
		fence := s.common.LastClaim()
		if s.before != 0 {
			fence = min(fence, s.before-1)
		}
		if h := r.lastHeld(to); s.common.ClosedTo() < fence && (h == nil || h.fence <= fence) {
			s.hold(r, to, m, fence)
			return
		}
	}
	if h := r.lastHeld(to); h != nil && !s.off(NoOrder) {
		h.msgs = append(h.msgs, keep(m, r))
		s.outbox.n++
		s.stats.HeldTotal++
		return
	}
	s.sendBare(to, m)
}

// newMsg gives the memory for the next message, empty but for its type, to be
// filled in place and sent at once. Messages of the hot path are made so; others
// are made where it is easiest, and copied.
func (s *Shard) newMsg(t wire.Type) *wire.Msg {
	s.msg = wire.Msg{}
	s.msg.Type = t
	return &s.msg
}

// sendBare sends without a look at the outbox: for answers about a name of
// which nothing is kept here.
func (s *Shard) sendBare(to uint16, m *wire.Msg) {
	if to == s.self && m.Type.Named() { // what has no name is for other shards, too
		s.keepHome(m)
		return
	}
	if m != &s.msg {
		s.msg = *m // m itself can then live on the caller's stack
	}
	s.host.Send(to, &s.msg)
}

func (s *Shard) hold(r *resource, to uint16, m *wire.Msg, fence uint64) *held {
	h := &held{fence: fence, since: s.now, to: to, res: r, msgs: []wire.Msg{keep(m, r)}}
	switch t := s.outbox.tail; {
	case t == nil:
		s.outbox.head, s.outbox.tail = h, h
	case t.fence <= fence:
		t.next, s.outbox.tail = h, h
	default: // what a retirement or a removal waits for is older: it must not wait for what waits for it
		at := &s.outbox.head
		for (*at).fence <= fence {
			at = &(*at).next
		}
		h.next, *at = *at, h
	}
	s.outbox.n++
	s.stats.HeldTotal++
	p := &s.rarely(r).held
	for *p != nil {
		p = &(*p).resNext
	}
	*p = h
	return h
}

// keep copies what m points to. The name stays in its resource, which is not
// freed while it has held messages.
func keep(m *wire.Msg, r *resource) wire.Msg {
	c := *m
	c.Name = r.name()
	c.Value = slices.Clone(m.Value)
	c.Locks = slices.Clone(m.Locks)
	c.Path = slices.Clone(m.Path)
	c.Ranges = slices.Clone(m.Ranges)
	return c
}

// forwardHeld lets the requests of other nodes go on that stand behind messages
// about a life: those are about to be taken back, and whoever asked must hear
// from that master that it is none.
func (s *Shard) forwardHeld(r *resource, life wire.Life) {
	for h := r.held; h != nil; h = h.resNext {
		for i := range h.msgs {
			if m := &h.msgs[i]; m.Life == life && m.Type == wire.Fwd {
				s.sendBare(h.to, m)
			}
		}
	}
}

// dropHeldAbout takes back what has not left about a life that has ended.
func (s *Shard) dropHeldAbout(r *resource, life wire.Life) {
	for h := r.held; h != nil; h = h.resNext {
		n := len(h.msgs)
		h.msgs = slices.DeleteFunc(h.msgs, func(m wire.Msg) bool { return m.Life == life })
		s.outbox.n -= n - len(h.msgs)
	}
}

// dropHeldTo drops what has not left for the copy of a lock that its owner has
// given up: nobody listens. The owner may have forgotten the name, too, and what
// is sent about its next claim must not stand behind that.
func (s *Shard) dropHeldTo(l *Lock) {
	r, to := l.res, wire.NodeOf(l.owner)
	for h := r.held; h != nil; h = h.resNext {
		n := len(h.msgs)
		h.msgs = slices.DeleteFunc(h.msgs, func(m wire.Msg) bool {
			return h.to == to && m.Lock == l.id && m.Life == r.life && (m.Type == wire.RangeDone || m.Type == wire.Bast)
		})
		s.outbox.n -= n - len(h.msgs)
	}
}

// lastHeld gives the run that a message to node to must stand behind. Runs of
// which all was taken back do not count.
func (r *resource) lastHeld(to uint16) *held {
	var last *held
	for h := r.held; h != nil; h = h.resNext {
		if h.to == to && len(h.msgs) != 0 {
			last = h
		}
	}
	return last
}

// Holding says that messages, or ranges that are to move, wait for the fence.
func (s *Shard) Holding() bool { return s.outbox.head != nil || len(s.leaving) != 0 }

// Release sends what the fence no longer holds back. The host calls it when
// claims of other shards have closed.
func (s *Shard) Release(now int64) {
	s.now = now
	s.releaseHeld()
	s.finish()
}

func (s *Shard) releaseHeld() {
	if s.outbox.head == nil || s.frozen {
		return
	}
	closed := s.common.ClosedTo()
	for h := s.outbox.head; h != nil && h.fence <= closed; h = s.outbox.head {
		s.outbox.head = h.next
		if h.next == nil {
			s.outbox.tail = nil
		}
		r := h.res
		r.dropHeld(h)
		s.outbox.n -= len(h.msgs)
		s.stats.HeldTimes.Observe(s.now-h.since, uint64(len(h.msgs)))
		for i := range h.msgs {
			h.msgs[i].Wait = uint64(s.now - h.since) // does not travel: see Host.Send
			s.host.Send(h.to, &h.msgs[i])
		}
		if r.removal == h {
			s.removed(r)
		} else {
			s.shed(r)
			s.maybeIdle(r)
			s.release(r)
		}
	}
}

func (r *resource) dropHeld(h *held) {
	for p := &r.held; *p != nil; p = &(*p).resNext {
		if *p == h {
			*p = h.resNext
			return
		}
	}
}
