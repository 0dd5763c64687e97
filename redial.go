package lockify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// This file keeps a client in a session.
//
//	Dial ---> session ---ends---> between sessions ---redial---> session ...
//	              |                     |
//	              +------- Close -------+---> closed
//
// Between two sessions each lockspace has no seat: what must not wait fails, what may
// waits. A new session takes its seats in all lockspaces before anybody sees it.

const (
	patience   = 5 * time.Second       // for an answer of a node, where there are others to try
	firstPause = 10 * time.Millisecond // between two rounds over all addresses; it doubles
	lastPause  = time.Second           // up to this
	lasted     = 2 * lastPause         // a session of this length was a good one
)

// pause gives the time to wait after so many attempts in a row, half of it or less
// by chance, so that the clients of a node that has ended do not come all at once.
func pause(failures int) time.Duration {
	d := min(firstPause<<min(failures, 10), lastPause)
	return d/2 + rand.N(d/2+1)
}

// dial tries each address once, for Dial.
func (c *Client) dial(ctx context.Context) error {
	c.began = time.Now()
	return c.round(ctx)
}

// redial tries until there is a session, or the client is closed.
func (c *Client) redial() {
	defer c.redials.Done()
	for {
		c.mu.Lock()
		n := c.failures
		c.failures++
		c.mu.Unlock()
		if n > 0 { // a session that has lasted ends by chance: the next one may begin at once
			t := time.NewTimer(pause(n - 1))
			select {
			case <-t.C:
			case <-c.ctx.Done():
				t.Stop()
			}
		}
		err := c.round(c.ctx)
		if err == nil || c.ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		c.why = fmt.Errorf("%w: %w", ErrSessionLost, err)
		c.mu.Unlock()
	}
}

// round tries each address once and takes the first session.
func (c *Client) round(ctx context.Context) error {
	c.mu.Lock()
	first := c.next
	c.mu.Unlock()
	var errs roundError
	for i := range c.addrs {
		err := c.try(ctx, (first+i)%len(c.addrs))
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errs
}

// roundError is why no address would do, in one line.
type roundError []error

func (e roundError) Error() string {
	var all []string
	for _, err := range e {
		all = append(all, err.Error())
	}
	return strings.Join(all, "; ")
}

func (e roundError) Unwrap() []error { return e }

// try begins a session with one address and opens all lockspaces in it.
func (c *Client) try(ctx context.Context, addr int) error {
	if len(c.addrs) > 1 || c.Session() != nil {
		late, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer within %v", patience))
		defer cancel()
		ctx = late
	}
	s, err := c.connect(ctx, addr)
	if err != nil {
		return err
	}
	seats, err := c.reopen(ctx, s)
	if err == nil && c.Session() != nil && s.refused() {
		err = noQuorum("no quorum: the node has no lease, so that it is not a member of its cluster now")
	}
	if err == nil {
		err = c.install(s, seats)
	}
	if err != nil {
		s.end(err)
		return fmt.Errorf("lockify: dial %s: %w", c.addrs[addr].text, err)
	}
	return nil
}

// lookElsewhere is what to do about a node that cannot open a lockspace now, because
// of why: another one may do better. A session that holds something stays; then the
// same node is asked again later.
func (c *Client) lookElsewhere(ctx context.Context, s *Session, why error, failures int) error {
	s.mu.Lock()
	busy := s.busy()
	s.mu.Unlock()
	if !busy {
		s.end(why)
		return nil
	}
	t := time.NewTimer(pause(failures))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-c.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ctx.Err(), why)
	}
}

// reopen opens all lockspaces in a new session. One that the node has with other
// properties stays without a seat; what concerns the node as a whole is an error.
// Nobody opens others meanwhile: for that there must be a session.
func (c *Client) reopen(ctx context.Context, s *Session) (map[*remote]*seat, error) {
	c.mu.Lock()
	var all []*remote
	for r := range c.spaces {
		all = append(all, r)
	}
	c.mu.Unlock()
	seats := map[*remote]*seat{}
	for _, r := range all {
		at, err := s.open(ctx, r)
		switch {
		case err == nil:
		case errors.Is(err, ErrMismatch), errors.Is(err, ErrInvalid), errors.Is(err, ErrLimit):
			at = &seat{s: s, r: r, err: fmt.Errorf("lockspace %q in a new session: %w", r.ls.name, err)}
		default:
			return nil, err
		}
		seats[r] = at
	}
	return seats, nil
}

// install makes s the present session.
func (c *Client) install(s *Session, seats map[*remote]*seat) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case s.Err() != nil:
		return s.reason()
	}
	for r, at := range seats {
		if _, open := c.spaces[r]; open {
			c.sit(at)
		} else if at.err == nil { // closed meanwhile
			s.askClose(at)
		}
	}
	first := c.last == nil
	c.live, c.last, c.why, c.began = s, s, nil, time.Now()
	c.changed()
	if c.opts.session != nil && !first {
		c.calls.add(call{f: func(error) { c.opts.session(s) }})
	}
	return nil
}

// sit gives a lockspace its seat in the present session. mu is held.
func (c *Client) sit(at *seat) {
	at.r.at.Store(at)
	if at.err == nil && at.r.ls.conflict != nil {
		at.s.listen(at)
	}
}

// register notes that a lockspace is open, if the session of its seat still is.
func (c *Client) register(at *seat) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != at.s {
		return false
	}
	c.spaces[at.r] = struct{}{}
	c.sit(at)
	return true
}

// forget notes that a lockspace is closed.
func (c *Client) forget(r *remote) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.spaces, r)
	c.changed()
}

// ended is told that a session has.
func (c *Client) ended(s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != s {
		return // it never was the present one
	}
	c.live, c.why = nil, s.Err()
	for r := range c.spaces {
		r.at.Store(nil)
	}
	c.next = 0
	if time.Since(c.began) >= lasted {
		c.failures = 0
	} else if len(c.addrs) > 1 { // it answers, but that does not last: another may do better
		c.next = (s.addr + 1) % len(c.addrs)
	}
	c.changed()
	if !c.closed && !c.opts.once {
		c.redials.Add(1)
		go c.redial()
	}
}

// changed wakes all who wait for a session. mu is held.
func (c *Client) changed() {
	close(c.change)
	c.change = make(chan struct{})
}

// lostError is what those hear who want something of a session that has ended.
func (c *Client) lostError(cause error) error {
	if c.ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrClosed, cause)
	}
	return fmt.Errorf("%w: %w", ErrSessionLost, cause)
}

// state gives the present session, or why there is none, and whether that is for
// ever; change is closed when it is no longer so.
func (c *Client) state() (s *Session, final bool, change chan struct{}, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, true, nil, ErrClosed
	case c.live != nil && c.live.Err() != nil: // its end is on the way here
		return nil, c.opts.once, c.change, c.live.Err()
	}
	return c.live, c.opts.once, c.change, c.why
}

// await waits for a session, for a lockspace (nil: for none) no longer than it is
// open: then it gives nil.
func (c *Client) await(ctx context.Context, r *remote) (*Session, error) {
	for {
		if r != nil && r.ls.closed.Load() {
			return nil, nil
		}
		s, final, change, why := c.state()
		if s != nil {
			return s, nil
		}
		if final {
			return nil, why
		}
		select {
		case <-change:
		case <-ctx.Done():
			_, _, _, why = c.state()
			if why == nil {
				why = ErrSessionLost
			}
			return nil, fmt.Errorf("%w: %w", ctx.Err(), why)
		}
	}
}
