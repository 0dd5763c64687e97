package node

import (
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is lockspace.Host: what a shard says leaves through here. All of
// it runs inside the shard, so plain fields of the runner are safe.

// openFrame is the frame to one peer that is being filled.
type openFrame struct {
	muted  bool // nothing leaves: this start of the peer is no member any more
	buf    []byte
	count  uint16
	urgent bool // more than NOTIFYs and REGs
}

// frameTarget is the payload size in bytes at which a frame leaves even
// though more may come.
const frameTarget = 32 << 10

// bulkTarget is the same for what a recovery brings: while a node takes it in, it does
// nothing else.
const bulkTarget = 8 << 10

// slot gives the open frame to a peer.
func (r *runner) slot(peer int) *openFrame {
	if peer >= len(r.open) {
		r.open = append(r.open, make([]openFrame, peer+1-len(r.open))...)
	}
	return &r.open[peer]
}

// Send appends m to the open frame of its destination.
func (r *runner) Send(to uint16, m *wire.Msg) {
	if to == r.node.cfg.ID {
		r.sendHome(m)
		return
	}
	peer := r.node.peers.slot(to)
	if peer < 0 {
		return // never was a member
	}
	f := r.slot(peer)
	if f.muted {
		return
	}
	if f.buf == nil {
		f.buf = engine.GetBuf()
	}
	if len(r.traces) != 0 {
		r.traceSend(to, f, m)
	}
	f.buf = m.Append(f.buf)
	f.count++
	r.sent[m.Type]++
	switch m.Type {
	case wire.Notify, wire.Remove, wire.Reg: // nobody waits for one; behind many REGs, SENT and DONE follow
		r.lazy = true
	default:
		f.urgent, r.urgent = true, true
	}
	if n := len(f.buf); n >= frameTarget || n >= bulkTarget && m.Type == wire.Reg {
		r.sendFrame(peer)
	}
}

// sendHome leaves m, which is for all shards of this lockspace on this node, in
// their inboxes; this one's is looked at before its runner leaves.
func (r *runner) sendHome(m *wire.Msg) {
	payload := m.Append(nil)
	h := wire.Header{Epoch: r.shard.Epoch(), Clock: r.space.clocks.clock()}
	for _, to := range r.space.runners {
		t := taskPool.Get().(*task)
		t.from, t.head = r.node.cfg.Instance, h
		t.buf = append(t.buf[:0], payload...)
		if to == r {
			r.push(t)
		} else {
			to.put(t, nil)
		}
	}
}

func (r *runner) sendFrame(peer int) {
	f := &r.open[peer]
	h := wire.Header{
		Kind: wire.KindNode, Count: f.count, Shard: uint16(r.number), Lockspace: r.space.id,
		Epoch: r.shard.Epoch(), Instance: r.node.cfg.Instance, Clock: r.space.clocks.clock(),
	}
	r.node.links.Send(r.node.peers.at(peer).id, f.buf, h)
	*f = openFrame{}
}

// flush lets go of what should leave now, and tells the flusher about what
// may wait for company.
func (r *runner) flush() {
	if r.lazy || r.urgent || len(r.sessions) != 0 {
		r.flushSome()
	}
}

func (r *runner) flushSome() {
	if r.lazy && r.holding.Load() { // what is held waits for these NOTIFYs
		r.flushAll()
		return
	}
	if r.urgent {
		r.urgent = false
		r.sendFrames(false)
	}
	r.flushSessions()
	if r.lazy && r.wake.Load() == 0 {
		r.wake.Store(1)
		signal(r.node.flusher.wake)
	}
}

func (r *runner) flushAll() {
	r.urgent, r.lazy = false, false
	r.sendFrames(true)
	r.flushSessions()
}

// sendFrames sends the frames that are open; those that hold only NOTIFYs and REGs if lazy.
func (r *runner) sendFrames(lazy bool) {
	for i := range r.open {
		if f := &r.open[i]; f.urgent || lazy && f.count > 0 {
			r.sendFrame(i)
		}
	}
}

func (r *runner) flushSessions() {
	for i, s := range r.sessions {
		s.flush()
		r.sessions[i] = nil
	}
	r.sessions = r.sessions[:0]
}

// Complete passes a completion on.
func (r *runner) Complete(user any, id, tag uint64, c *lockspace.Completion) {
	if c.Status == wire.Deadlock {
		r.deadlock(id, c.Cycle)
	}
	if len(r.traces) != 0 {
		r.traceComplete(id, c)
	}
	user.(Owner).Complete(id, tag, c)
	r.heard(user)
}

// Blocking passes a BAST on.
func (r *runner) Blocking(user any, id uint64, mode lockspace.Mode) {
	user.(Owner).Blocking(id, mode)
	r.heard(user)
}

// Confirmed passes the end of a claim on.
func (r *runner) Confirmed(user any, id uint64) {
	user.(Owner).Confirmed(id)
	r.heard(user)
}

// Lost passes a loss on.
func (r *runner) Lost(user any, id uint64) {
	r.space.lost.Add(1)
	user.(Owner).Lost(id)
	r.heard(user)
}

// heard notes that a client's session has something to flush.
func (r *runner) heard(user any) {
	if l, ok := user.(*sessionSpace); ok && l.session.markDirty() {
		r.sessions = append(r.sessions, l.session)
	}
}

// MayClaim says whether a self-grant towards directory is allowed now: its
// link is up and it understands claims.
func (r *runner) MayClaim(directory uint16) bool { return r.node.peers.of(directory).claims.Load() }
