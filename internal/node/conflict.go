package node

import (
	"log/slog"
	"sync"

	"github.com/lockify-dlm/lockify/wire"
)

// ConflictListener hears of wrong claims that this node has made in a
// lockspace, whether or not anybody held anything under them any more. The method
// runs inside a shard: it must not block and must not use the Space. name is valid
// during the call; master is the node that the name belonged to, 0 if that is
// not known.
type ConflictListener interface {
	Conflict(name []byte, master uint16)
}

// conflicts are the listeners of a lockspace.
type conflicts struct {
	mu        sync.Mutex
	listeners map[ConflictListener]struct{}
}

// Listen lets l hear of conflicts until stop is called.
func (s *Space) Listen(l ConflictListener) (stop func()) {
	s.conflicts.mu.Lock()
	defer s.conflicts.mu.Unlock()
	if s.conflicts.listeners == nil {
		s.conflicts.listeners = map[ConflictListener]struct{}{}
	}
	s.conflicts.listeners[l] = struct{}{}
	return func() {
		s.conflicts.mu.Lock()
		defer s.conflicts.mu.Unlock()
		delete(s.conflicts.listeners, l)
	}
}

// Conflict reports a wrong claim.
func (r *runner) Conflict(name []byte, master wire.Life) {
	r.wrong++
	r.node.sayLater(slog.LevelError, "wrong claim: the name was in use while this node took it for new",
		"event", eventClaimConflict, "lockspace", r.space.name, "name", quoted(name), "master", master.Node())
	of := master.Node()
	if of == r.node.cfg.ID {
		of = 0 // that one has gone meanwhile, and the name is this node's
	}
	c := &r.space.conflicts
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.listeners {
		l.Conflict(name, of)
		r.heard(l)
	}
}

// Conflict tells the client.
func (sp *sessionSpace) Conflict(name []byte, master uint16) {
	sp.session.event(sp.space.id, &wire.Msg{Type: wire.ConflictAst, Name: name, Num: uint32(master)})
}
