package lockify

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// sessionSide is a session as its connection sees it (engine.FrameHandler).
type sessionSide Session

// OnOpen notes the connection: a node that speaks first may be heard before it has been dialled.
func (s *sessionSide) OnOpen(c *engine.FrameConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
}

// OnIdle does nothing: answers make no requests.
func (s *sessionSide) OnIdle(*engine.FrameConn) {}

// OnFrame takes the node's answers and events.
func (s *sessionSide) OnFrame(_ *engine.FrameConn, h *wire.Header, payload []byte) error {
	if (*Session)(s).over() {
		return errLease // or another reason, which came first
	}
	if h.Kind != wire.KindClient {
		return fmt.Errorf("%w: kind %d on a client connection", wire.ErrKind, h.Kind)
	}
	var it wire.Messages
	var m wire.Msg
	it.Reset(h, payload)
	todo := callList(s.todo[:0])
	defer func() {
		s.c.calls.add(todo...)
		clear(todo)
		s.todo = todo
	}()
	for {
		ok, err := it.Next(&m)
		if err != nil || !ok {
			return err
		}
		if err := (*Session)(s).message(h.Lockspace, &m, &todo); err != nil {
			return err
		}
	}
}

// callList is what a frame's messages have called for.
type callList []call

func (c *callList) add(x call) {
	if x.f != nil {
		*c = append(*c, x)
	}
}

// message takes a message, and adds to todo what is to be run for it.
func (s *Session) message(space uint32, m *wire.Msg, todo *callList) error {
	switch m.Type {
	case wire.Welcome:
		if m.Num < uint32(wire.VersionMin) || m.Num > uint32(wire.VersionMax) {
			return fmt.Errorf("%w: the node chose version %d", ErrVersion, m.Num)
		}
		s.welcome(m)
	case wire.Refused:
		return statusError(m.Status, string(m.Text))
	case wire.SpaceOpened, wire.SpaceClosed, wire.Ast, wire.DeadlockAst, wire.RangeAst:
		if nodeEnds(m) {
			return sessionError(m.Status, string(m.Text))
		}
		return s.answer(space, m, todo)
	case wire.BlockingAst, wire.Confirmed, wire.Lost:
		s.event(space, m, todo)
	case wire.ConflictAst:
		s.conflict(space, m, todo)
	case wire.SessionLost:
		return sessionError(m.Status, string(m.Text))
	case wire.Lease:
		return s.leased(m)
	case wire.Identity:
		s.identity(m)
	case wire.Ping:
		s.post(0, &wire.Msg{Type: wire.Pong, Num: m.Num})
	case wire.Pong:
	case wire.Ring:
		return s.ring(m)
	default:
		return fmt.Errorf("%w: type %d from a node", wire.ErrType, m.Type)
	}
	return nil
}

// welcome takes the node's answer to HELLO; a second one changes nothing.
func (s *Session) welcome(m *wire.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.greeted {
		s.greeted, s.version, s.id = true, uint8(m.Num), m.Instance
		s.lease.told = m.Features&wire.FeatureLease != 0
		s.unknown = m.Features&wire.FeatureIdentity != 0
		s.traces = m.Features&wire.FeatureTrace != 0
		if s.ringless = m.Features&wire.FeatureRing != 0; !s.ringless {
			s.conn.NoRing()
		}
		s.helloed()
	}
}

// helloed lets connect go on when all is there that WELCOME has announced. mu is held.
func (s *Session) helloed() {
	if !s.unknown && !s.ringless {
		close(s.hello)
	}
}

// identity takes what follows WELCOME; a second one changes nothing.
func (s *Session) identity(m *wire.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown {
		s.unknown, s.node = false, m.Instance
		s.helloed()
	}
}

// nodeEnds says that the answer is of a node that is good for nothing any more. To a
// question for a lockspace it may say NoQuorum and become a member later.
func nodeEnds(m *wire.Msg) bool {
	return m.Status == wire.ShuttingDown || m.Status == wire.NoQuorum && m.Type != wire.SpaceOpened
}

// sessionError is why a node ends a session.
func sessionError(st wire.Status, text string) error {
	if st == wire.ShuttingDown { // the node is closed, not what the program has
		return fmt.Errorf("the node is about to end: %s", text)
	}
	return statusError(st, text)
}

// answer ends the request that m answers. A grant of a node that had no lease just
// before ends the session: for how long it may be believed in is not known.
func (s *Session) answer(space uint32, m *wire.Msg, todo *callList) error {
	s.mu.Lock()
	r, ok := s.running.take(m.Req)
	if s.running.n < maxRunning && s.full.Load() {
		s.full.Store(false)
	}
	key := lockKey{space, m.Lock}
	if ok && r.lock != nil {
		switch {
		case m.Status == wire.OK && !r.lock.space.closed.Load():
			s.locks[key] = r.lock
		case m.Status == wire.Unlocked, m.Status == wire.LostLock, retired(m.Status) && m.Mode == wire.NoMode:
			delete(s.locks, key)
		}
	}
	unsure := s.unsure()
	s.mu.Unlock()
	if ok && r.lock != nil && m.Status == wire.OK && r.lock.space.closed.Load() {
		s.giveUp(space, m.Lock, r.lock, func(error) {})
	}
	switch {
	case !ok:
	case r.done != nil:
		kept := *m
		kept.Text = slices.Clone(m.Text)
		r.done(&kept, nil)
	default:
		todo.add(r.lock.complete(m.Lock, outcomeError(m.Status, string(m.Text), m.Path), m.Status, &lockspace.Completion{
			Status: m.Status, Mode: Mode(m.Mode), Bits: m.Bits, Hops: m.Hops, Token: m.Token, Seq: m.Seq, Value: m.Value,
			Text: string(m.Text),
		}))
	}
	if unsure {
		return errLease
	}
	return nil
}

// event tells a lock what has happened to it.
func (s *Session) event(space uint32, m *wire.Msg, todo *callList) {
	key := lockKey{space, m.Lock}
	s.mu.Lock()
	l := s.locks[key]
	if m.Type == wire.Lost {
		delete(s.locks, key)
	}
	s.mu.Unlock()
	if l == nil {
		return
	}
	switch m.Type {
	case wire.BlockingAst:
		todo.add(l.blocked(Mode(m.Mode)))
	case wire.Confirmed:
		l.claimClosed()
	case wire.Lost:
		l.takenAway(ErrLost)
	}
}

// OnClose ends the session: all locks are lost, all requests fail.
func (s *sessionSide) OnClose(_ *engine.FrameConn, err error) { (*Session)(s).end(err) }

func programName() string { return filepath.Base(os.Args[0]) }
