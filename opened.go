package lockify

import (
	"context"
	"sync"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file opens and closes lockspaces in a session. A node knows of one part of a session
// in a lockspace, however many Lockspaces of that name the client has: only the last one
// closes that (CLOSE_SPACE), the others give up what is theirs.

// opened counts by name who has a lockspace open in a session, or has asked for that.
// Questions to open and to close are sent under mu, so that the node sees them in this order.
type opened struct {
	mu sync.Mutex
	n  map[string]int
}

// askOpen asks for r's lockspace.
func (s *Session) askOpen(r *remote) question {
	props := r.ls.props
	s.opens.mu.Lock()
	defer s.opens.mu.Unlock()
	s.opens.n[r.ls.name]++
	return s.begin(0, &wire.Msg{
		Type: wire.OpenSpace, Flags: uint32(props.Range), Num: uint32(props.ValueLen), Text: []byte(r.ls.name),
	})
}

// askClose closes it, nil: others have it open.
func (s *Session) askClose(at *seat) question {
	s.opens.mu.Lock()
	defer s.opens.mu.Unlock()
	if s.opens.less(at.r.ls.name) > 0 {
		return nil
	}
	return s.begin(at.space, &wire.Msg{Type: wire.CloseSpace})
}

// open opens a lockspace in a session. What the node opens for who has left when ctx ended is
// closed again: it would stay open as long as the session, and of these there is a limit.
func (s *Session) open(ctx context.Context, r *remote) (*seat, error) {
	q := s.askOpen(r)
	select {
	case a := <-q:
		return s.opened(r, a)
	case <-ctx.Done():
		go func() {
			if at, err := s.opened(r, <-q); err == nil {
				s.askClose(at)
			}
		}()
		return nil, ctx.Err()
	}
}

// opened takes the answer to askOpen.
func (s *Session) opened(r *remote, a answer) (*seat, error) {
	err := a.err
	if err == nil {
		err = statusError(a.m.Status, string(a.m.Text))
	}
	if err != nil {
		s.opens.mu.Lock()
		defer s.opens.mu.Unlock()
		s.opens.less(r.ls.name)
		return nil, err
	}
	return &seat{s: s, space: a.m.Num, r: r}, nil
}

// less counts one less, and gives how many are left. mu is held.
func (o *opened) less(name string) int {
	o.n[name]--
	left := o.n[name]
	if left == 0 {
		delete(o.n, name)
	}
	return left
}

// close closes the lockspace in the present session; without one there is nothing
// to give up. Its locks are given up first: the node releases them also if ctx has ended,
// and others may have them before its answer is here.
func (r *remote) close(ctx context.Context) error {
	r.c.forget(r)
	at := r.at.Swap(nil)
	if at == nil || at.err != nil {
		return nil
	}
	s := at.s
	s.deaf(at)
	locks, requests := s.takeLocks(r.ls)
	for _, l := range locks {
		l.released()
	}
	q := s.askClose(at)
	if q == nil {
		return at.withdraw(ctx, locks, requests)
	}
	m, err := q.await(ctx)
	if err != nil {
		if s.Err() != nil {
			return nil
		}
		return err
	}
	return statusError(m.Status, string(m.Text))
}

// withdraw gives up what one of several Lockspaces has in the seat's.
func (a *seat) withdraw(ctx context.Context, locks []*Lock, requests []uint64) error {
	for _, req := range requests {
		a.cancel(0, req)
	}
	done := make(chan error, len(locks))
	for _, l := range locks {
		a.s.giveUp(a.space, l.id, l, func(err error) { done <- err })
	}
	for range locks {
		select {
		case <-done: // an error says that it was gone before
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// takeLocks takes the granted locks of a lockspace from the list, and gives the numbers of
// the requests for others.
func (s *Session) takeLocks(ls *Lockspace) (locks []*Lock, requests []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, l := range s.locks {
		if l.space == ls {
			delete(s.locks, key)
			locks = append(locks, l)
		}
	}
	for _, x := range s.running.places {
		if x.req != 0 && x.lock != nil && x.lock.space == ls && x.lock.id == 0 {
			requests = append(requests, x.req)
		}
	}
	return locks, requests
}

// giveUp has the node release a lock of a lockspace that is closed. A persistent one stays
// the session's, and is an orphan when that or the last Lockspace has gone.
func (s *Session) giveUp(space uint32, id uint64, l *Lock, done func(error)) {
	l.mu.Lock()
	keep := l.rare != nil && l.keep != 0
	l.mu.Unlock()
	if keep {
		done(nil)
		return
	}
	s.start(space, &wire.Msg{Type: wire.UnlockReq, Lock: id, Flags: lockspace.ForceUnlock}, whenDone(done), true)
}
