package node

import (
	"fmt"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Purge unlocks the orphans that session has left on a node, 0: all. done is
// called once: when they are unlocked here, or when another node has been asked
// to do it, which does not answer. Status OK, or NoNode: it is no member of the cluster. A
// member that has not the lockspace open has no orphans in it.
func (s *Space) Purge(node uint16, session uint64, done func(lockspace.Status)) {
	if node != s.node.cfg.ID {
		s.runners[0].do(func(r *runner) {
			st := r.shard.SendPurge(r.now(), node, session)
			if st == wire.NoNode && r.node.isMember(node) {
				st = wire.OK
			}
			done(st)
		})
		return
	}
	var left atomic.Int32
	left.Store(int32(len(s.runners)))
	for _, r := range s.runners {
		r.do(func(r *runner) {
			r.shard.Purge(r.now(), session)
			if left.Add(-1) == 0 {
				done(wire.OK)
			}
		})
	}
}

// purge is a client's PURGE_REQ.
func (sp *sessionSpace) purge(m *wire.Msg) {
	s, req, node := sp.session, m.Req, m.Num
	answer := func(st lockspace.Status) {
		a := wire.Msg{Type: wire.Ast, Req: req, Status: st, Mode: wire.NoMode}
		if st == wire.NoNode {
			a.Text = fmt.Appendf(nil, "node %d", node)
		}
		s.send(sp.space.id, &a)
		s.flush()
	}
	if node == 0 || node > 1<<16-1 {
		answer(wire.NoNode)
		return
	}
	sp.space.Purge(uint16(node), m.Instance, answer)
}
