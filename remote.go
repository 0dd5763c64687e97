package lockify

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// remote is the backend of a lockspace behind a client.
type remote struct {
	c  *Client
	ls *Lockspace
	at atomic.Pointer[seat] // nil: there is no session
}

// seat is a lockspace in one session. It is the backend of the locks that are taken
// there, which know no other.
type seat struct {
	s     *Session
	space uint32
	r     *remote
	err   error // why the node does not have the lockspace as it was opened
}

// present gives the seat in the present session; the error says why there is none.
func (r *remote) present() (*seat, error) {
	at := r.at.Load()
	switch {
	case at == nil && r.ls.closed.Load():
		return nil, ErrClosed
	case at == nil:
		_, _, _, why := r.c.state()
		if why == nil { // a session has come just now
			why = ErrSessionLost
		}
		return nil, why
	case at.err != nil:
		return nil, at.err
	}
	return at, nil
}

func (r *remote) newOwner() OwnerID { return r.c.owners.next() }

func (r *remote) lock(l *Lock, mode Mode, o Option, later bool) begun {
	at, err := r.present()
	if err != nil {
		running{lock: l}.refuse(err)
		return begun{}
	}
	l.at = at
	m := wire.Msg{
		Type: wire.LockReq, Name: []byte(l.name), Mode: uint8(mode), Flags: o.flags, Owner: uint64(o.owner), Wait: uint64(o.wait),
	}
	o.putSpan(&m)
	return at.s.start(at.space, &m, running{lock: l}, later)
}

func (a *seat) convert(l *Lock, mode Mode, o Option, later bool) begun {
	m := wire.Msg{
		Type: wire.ConvertReq, Lock: l.id, Mode: uint8(mode), Flags: o.flags, Value: o.value, Wait: uint64(o.wait),
	}
	if o.value != nil {
		m.Bits = wire.BitValue
	}
	o.putSpan(&m)
	return a.s.start(a.space, &m, running{lock: l}, later)
}

func (a *seat) unlock(l *Lock, o Option, later bool) begun {
	m := wire.Msg{Type: wire.UnlockReq, Lock: l.id, Flags: o.flags, Value: o.value}
	if o.value != nil {
		m.Bits = wire.BitValue
	}
	o.putSpan(&m)
	return a.s.start(a.space, &m, running{lock: l}, later)
}

func (a *seat) cancel(id, req uint64) {
	a.s.post(a.space, &wire.Msg{Type: wire.CancelReq, Lock: id, Req: req})
}

// number tells l by which number its operation is known in the session, for Cancel. An
// unlock cannot be withdrawn; a lock that is asked for is known to nobody else yet.
func (l *Lock) number(m *wire.Msg) {
	switch {
	case m.Type == wire.LockReq:
		l.req = m.Req
	case m.Type == wire.ConvertReq, m.Flags&lockspace.Retire != 0:
		l.mu.Lock()
		l.req = m.Req
		l.mu.Unlock()
	}
}

// maxRunning bounds the operations that may be under way when another one is
// begun asynchronously, so that requests fit into the connection's queue.
const maxRunning = 1 << 15

func (r *remote) full() bool {
	at, err := r.present()
	if err != nil {
		return false // the request will say so
	}
	return at.s.full.Load()
}

// wait waits for a session. For room it need not: the node pushes back by not reading.
func (r *remote) wait(ctx context.Context) error {
	for {
		at := r.at.Load()
		if at != nil && !at.s.over() {
			return at.err
		}
		if s, err := r.c.await(ctx, r); err != nil {
			return fmt.Errorf("lockspace %q: %w", r.ls.name, err)
		} else if s == nil {
			return nil // closed, which the request will say
		}
	}
}

func (r *remote) barrier(done func(error)) {
	r.start(&wire.Msg{Type: wire.BarrierReq}, whenDone(done))
}

func (r *remote) purge(node uint16, session uint64, done func(error)) {
	r.start(&wire.Msg{Type: wire.PurgeReq, Instance: session, Num: uint32(node)}, whenDone(done))
}

// start begins a request in the present session.
func (r *remote) start(m *wire.Msg, then running) {
	at, err := r.present()
	if err != nil {
		then.fail(err)
		return
	}
	at.s.start(at.space, m, then, false)
}

// whenDone is a request of which only the outcome matters.
func whenDone(done func(error)) running {
	return running{done: func(m *wire.Msg, err error) {
		if err == nil {
			err = statusError(m.Status, string(m.Text))
		}
		done(err)
	}}
}

// hurry: a barrier makes the node hurry; its answer says nothing more.
func (a *seat) hurry() {
	a.s.start(a.space, &wire.Msg{Type: wire.BarrierReq}, whenDone(func(error) {}), false)
}
