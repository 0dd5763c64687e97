package node

import (
	"context"
	"errors"

	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/wire"
)

// openSpace opens a lockspace for the client. If this node does not take part in it
// yet, the answer comes when the others have agreed: that is waited for on a
// goroutine, since the session goes on.
func (s *session) openSpace(m *wire.Msg) {
	name, props, req := string(m.Text), propsOf(m), m.Req
	may := s.node.cfg.Access().Right(&s.client, name)
	if may < access.Read {
		st, text := s.denied(may, access.Read, name)
		s.send(0, &wire.Msg{Type: wire.SpaceOpened, Req: req, Status: st, Text: text})
		return
	}
	s.takeReady()
	if most := s.node.cfg.Limits.Spaces; len(s.spaces)+int(s.opening.Load()) >= most && s.spaces[wire.SpaceID(name)] == nil {
		text := s.node.overText(most, "lockspaces", "max_client_lockspaces")
		s.send(0, &wire.Msg{Type: wire.SpaceOpened, Req: req, Status: wire.Limit, Text: []byte(text)})
		return
	}
	if s.node.opensAtOnce(name) {
		s.opened(req, name, props, may)
		s.takeReady()
		return
	}
	s.opening.Add(1)
	go func() {
		defer s.opening.Add(-1)
		s.opened(req, name, props, may)
		s.flush()
	}()
}

// opensAtOnce says that Open does not wait for others.
func (n *Node) opensAtOnce(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.byName(name)
	return n.fixed != nil || n.members == nil || n.closed || n.fenced != nil || s != nil && s.isOpen() && s.closing == nil
}

// opened answers, when the lockspace is open or cannot be opened.
func (s *session) opened(req uint64, name string, props Props, may access.Right) {
	answer := wire.Msg{Type: wire.SpaceOpened, Req: req}
	sp, err := s.node.Open(context.Background(), name, props)
	if err == nil && s.node.leaseEnded() { // perhaps no shard has noticed yet
		err = s.node.withFailure(errLease)
	}
	if err != nil {
		answer.Status, answer.Text = openStatus(err), []byte(err.Error())
		if errors.Is(err, errNotJoined) && s.leases {
			answer.Status, answer.Text = wire.NoQuorum, []byte(noQuorum(s.node.base, err))
		}
	} else {
		answer.Num = sp.id
		s.add(sp, may)
		s.node.cfg.Logger.Debug("client has opened a lockspace", "event", eventLockspaceOpen, "lockspace", name, "session", s.id, "client", s.name)
	}
	s.send(0, &answer)
}

func openStatus(err error) wire.Status {
	switch {
	case errors.Is(err, ErrMismatch):
		return wire.Mismatch
	case errors.Is(err, ErrClosed), errors.Is(err, ErrFenced):
		return wire.ShuttingDown
	case errors.Is(err, ErrLimit):
		return wire.Limit
	case errors.Is(err, ErrName):
		return wire.BadName
	case errors.Is(err, ErrValue):
		return wire.BadValue
	case errors.Is(err, ErrKey):
		return wire.BadKey
	}
	return wire.Invalid
}

// add lets the client use a lockspace from its next message on.
func (s *session) add(sp *Space, may access.Right) {
	ss := &sessionSpace{session: s, space: sp, may: may, locks: map[uint64]clientLock{}, waiting: map[uint64]uint64{}}
	ss.deaf = sp.Listen(ss)
	s.mu.Lock()
	gone := s.gone
	if !gone {
		s.ready = append(s.ready, ss)
	}
	s.mu.Unlock()
	if gone {
		ss.unused() // without mu, which who tells of conflicts takes while the listeners are locked
	}
}

// spaceOf gives the client's part in a lockspace, nil: it has not opened it. On the
// reading goroutine.
func (s *session) spaceOf(id uint32) *sessionSpace {
	if sp := s.spaces[id]; sp != nil {
		return sp
	}
	s.takeReady()
	return s.spaces[id]
}

// takeReady makes the lockspaces usable that have been opened meanwhile. One that was
// opened twice is one.
func (s *session) takeReady() {
	s.mu.Lock()
	ready := s.ready
	s.ready = nil
	s.mu.Unlock()
	for _, sp := range ready {
		if s.spaces[sp.space.id] != nil {
			sp.unused()
			continue
		}
		s.spaces[sp.space.id] = sp
	}
}

// unused ends the client's part in a lockspace, in which it has nothing.
func (sp *sessionSpace) unused() {
	sp.deaf()
	sp.space.Close()
}
