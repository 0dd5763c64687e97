package lockify

import (
	"errors"
	"math"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// The lease of a session is what is left of the lease of its node, as far as the
// client can know. When it has ended the cluster may have gone on without the node,
// and given its locks to others: the client then takes them for lost by itself, also
// if the node is stopped or cannot be heard.
//
// # The arithmetic
//
// Let r be the drift bound of package cluster (Terms): over a real time d a clock
// shows between d(1-r) and d(1+r). The client asks at s on its clock (LEASE_REQ). The
// node gets that later; it answers with R, what its own clock has to show until it
// fences itself. It allows for its drift in R, so that the cluster goes on without it
// no earlier than R/(1-r) of real time after the answer was made. The client believes
// in its locks until its clock shows
//
//	s + R(1-2q), q = 0.001
//
// which is at most R(1-2q)/(1-r) of real time after it asked, and so before the node's
// end, for every r that client and node keep: it has still 2q/(1-r) of R in hand. It
// counts from asking, not from the answer: how long that was under way nobody knows.
//
// The clock is CLOCK_BOOTTIME (engine.BootTime), which goes on while the machine sleeps.
// Timers of Go do not, and a process that was stopped finds them late; so the clock is
// read as well whenever a lock is used (Lock.Valid, Lost, Mode, Convert, Unlock), and
// before anything that has come from the node is looked at. What no check can close is
// the time between it and the deed: for that there are tokens.
//
// The client asks again when a quarter of the time is over, only as long as it holds
// something or waits. After a while without either it asks with its next request, in
// front of it, so that the answer comes before any grant.
const (
	leaseDrift = 1000      // q is one part in so many
	noEnd      = 1<<63 - 1 // membership is fixed: the cluster never goes on without the node
	soonest    = 50 * time.Millisecond
	latest     = 1250 * time.Millisecond
)

// errLease is the cause of a session's end that the client has found by itself.
var errLease = errors.New("the lease of its node has ended, or the node does not answer")

// lease is guarded by the session's mu.
type lease struct {
	told    bool          // the node knows of leases
	first   chan struct{} // closed at the first answer; nil from then on
	sure    bool          // until is what the node has said, and it had a lease
	until   int64         // on the client's clock; noEnd
	renew   int64         // when to ask again
	asked   int64         // when the running LEASE_REQ was made
	asking  bool          // there is one
	seq     uint64        // its number
	ticking bool          // timer will call tick
	timer   *time.Timer
}

// leaseUntil gives the end of a lease that had so many ns left when the node answered
// what was asked at sent.
func leaseUntil(sent int64, left uint64) int64 {
	if left >= noEnd {
		return noEnd
	}
	hedge := int64(left)/leaseDrift*2 + 2 // rounded up
	return sent + max(int64(left)-hedge, 0)
}

// renewAfter gives the time to the next question, when so much is left.
func renewAfter(left int64) int64 {
	return min(max(left/4, int64(soonest)), int64(latest))
}

// busy says that the session holds something, or waits. mu is held.
func (s *Session) busy() bool { return s.running.n+len(s.locks) > 0 }

// unsure says that the session holds what a node without a lease has granted. mu is held.
func (s *Session) unsure() bool { return s.lease.told && !s.lease.sure && len(s.locks) > 0 }

// ask sends a LEASE_REQ with what else is for that lockspace. mu is held.
func (l *lease) ask(s *Session, space uint32, now int64) {
	l.seq++
	l.asked, l.asking = now, true
	s.append(space, &wire.Msg{Type: wire.LeaseReq, Req: l.seq})
}

// beginLease asks for the first time, and waits until ctx or the session ends.
func (s *Session) beginLease(done <-chan struct{}) {
	s.mu.Lock()
	if s.err != nil || !s.lease.told {
		s.mu.Unlock()
		return
	}
	s.lease.ask(s, 0, s.c.clock())
	s.sendFrame()
	first := s.lease.first
	s.mu.Unlock()
	select {
	case <-first:
	case <-s.gone:
	case <-done:
	}
}

// refused says that the node of a new session has no lease.
func (s *Session) refused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease.told && s.c.clock() >= s.lease.until
}

// wakeLease sees to the lease when the first request comes after a while without. That
// nothing was held meanwhile makes the lease's end harmless: until is now only how
// long the node may take to answer. A node that had no lease when it was asked last, as
// it has not joined yet, is asked in front of each request. mu is held.
func (s *Session) wakeLease(space uint32) {
	l := &s.lease
	if !l.told || l.sure && !l.asking && l.until == noEnd { // the clock need not be looked at
		return
	}
	now := s.c.clock()
	if !l.sure || !l.asking && now >= min(l.renew, l.until) {
		l.ask(s, space, now)
	}
	if l.asking {
		l.until = max(l.until, now+int64(patience))
	}
	if !l.ticking {
		l.tickAt(s, now)
	}
}

// tickAt has tick called when there is something to do. mu is held.
func (l *lease) tickAt(s *Session, now int64) {
	at := l.until
	if !l.asking {
		at = min(at, l.renew)
	}
	l.ticking = true
	wait := time.Duration(max(at-now, 0))
	if l.timer == nil {
		l.timer = time.AfterFunc(wait, s.tick)
		return
	}
	l.timer.Reset(wait)
}

// tick asks for the lease, or finds that it has ended.
func (s *Session) tick() {
	if s.over() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.lease
	l.ticking = false
	if s.err != nil || !s.busy() {
		return
	}
	now := s.c.clock()
	if !l.asking && now >= l.renew {
		l.ask(s, 0, now)
		s.sendFrame()
	}
	l.tickAt(s, now)
}

// leased takes the answer to a LEASE_REQ.
func (s *Session) leased(m *wire.Msg) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.lease
	if s.err != nil || !l.asking || m.Req != l.seq {
		return nil
	}
	now := s.c.clock()
	if l.first != nil {
		close(l.first)
		l.first = nil
	}
	l.asking, l.until = false, leaseUntil(l.asked, m.Wait)
	l.renew = now + renewAfter(l.until-now)
	l.sure = m.Wait > 0
	switch {
	case !s.busy():
	case !l.sure && len(s.locks) == 0: // it grants nothing, and will say so
		l.until = now + int64(patience)
		l.tickAt(s, now)
	case now >= l.until:
		return errLease
	default:
		l.tickAt(s, now)
	}
	return nil
}

// over says whether the session has ended, with a fresh look at the clock: if what it
// holds has outlived the lease, it ends now.
func (s *Session) over() bool {
	s.mu.Lock()
	ended := s.err != nil
	late := !ended && (s.unsure() || s.lease.told && s.lease.until < math.MaxInt64 && s.busy() && s.c.clock() >= s.lease.until)
	s.mu.Unlock()
	if late {
		s.end(errLease)
	}
	return ended || late
}

// holds says that the locks of this place are not lost, as far as can be known now.
func (a *seat) holds() bool { return !a.s.over() }

func (a *seat) why() error {
	if err := a.s.Err(); errors.Is(err, ErrSessionLost) {
		return err
	}
	return ErrLost
}

// left gives for how long the locks of this place are certain from now.
func (a *seat) left() int64 {
	if a.s.over() {
		return 0
	}
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	l := &a.s.lease
	if !l.told || l.until == noEnd {
		return noEnd
	}
	return max(l.until-a.s.c.clock(), 0)
}
