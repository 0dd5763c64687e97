package lockspace

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the epoch filter: what a message of another view than this
// shard's may still do.

// Origin says where a message comes from; the header of its frame does.
type Origin struct {
	Instance uint64 // the sender
	Epoch    uint64 // the view that the sender was in
	Clock    uint64 // the sender's token clock
}

// noInstance is nobody's.
const noInstance = ^uint64(0)

// directoryPath are the messages that only mean something in the view they
// were sent in: the directory node of a name may be another one by now. Who
// asked asks again when it installs the view.
var directoryPath = [256]bool{
	wire.Lookup: true, wire.You: true, wire.Fwd: true,
	wire.Notify: true, wire.Confirm: true, wire.Reject: true,
	wire.Stale: true, wire.NotDir: true,
	wire.AskRange: true, wire.NoRange: true, wire.Delegate: true, wire.Return: true,
}

// futureMax bounds the messages of later views that a shard keeps. A node that
// lags further behind than that cannot go on: the shard fences itself.
const futureMax = 1 << 18

// future is a message of a view that is not installed yet.
type future struct {
	from Origin
	hash uint64
	msg  wire.Msg
}

// admit is the filter, for all that does not come from the sender of the last
// message in the present view.
func (s *Shard) admit(from Origin, hash uint64, m *wire.Msg) bool {
	switch {
	case s.fenced:
	case from.Epoch > s.view.Epoch:
		s.keepFuture(from, hash, m)
		return false
	case !s.view.HasInstance(from.Instance):
	case from.Epoch == s.view.Epoch:
		s.lastFrom = from.Instance
		return true
	case s.former(from) && !s.off(TakeFormer):
	case onDirectoryPath(m) && !s.takesOld(m.Type):
	default:
		s.late = true
		return true
	}
	s.stats.Ignored++
	return false
}

// former says that a member has sent something before it came, or this node did: it was a member
// then, too, and has left meanwhile, or this node has.
func (s *Shard) former(from Origin) bool {
	m := s.member(from.Instance)
	return m != nil && from.Epoch < m.came
}

// onDirectoryPath says that m is on the directory's path, as it is or in a RELAY.
func onDirectoryPath(m *wire.Msg) bool {
	return directoryPath[m.Type] || m.Type == wire.Relay && m.Num != uint32(wire.Remove)
}

// takesOld says that a test has switched the filter off for type t.
func (s *Shard) takesOld(t wire.Type) bool {
	if t == wire.Fwd {
		return s.off(TakeOldForwards)
	}
	return s.off(TakeOldAnswers)
}

func (s *Shard) keepFuture(from Origin, hash uint64, m *wire.Msg) {
	if len(s.futures) >= futureMax {
		s.stats.Overrun++
		s.Fence(s.now)
		return
	}
	s.futures = append(s.futures, future{from, hash, cloneMsg(m)})
}

// cloneMsg copies a message and what it points to.
func cloneMsg(m *wire.Msg) wire.Msg {
	c := *m
	c.Name, c.Value, c.Locks = slices.Clone(m.Name), slices.Clone(m.Value), slices.Clone(m.Locks)
	c.Text, c.Ranges, c.Entries = slices.Clone(m.Text), slices.Clone(m.Ranges), slices.Clone(m.Entries)
	c.Path = slices.Clone(m.Path)
	return c
}

// deliverFutures lets in what was sent in the view that is installed now, in
// order; the filter judges it again.
func (s *Shard) deliverFutures() {
	list := s.futures
	s.futures = nil
	for i := range list {
		if f := &list[i]; !s.fenced {
			s.Deliver(s.now, f.from, f.hash, &f.msg)
		}
	}
}
