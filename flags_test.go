package lockify

import (
	"errors"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
)

// This file is the options that have the kernel's rarer flags behind them.

const soon = 20 * time.Millisecond // a Timeout that a test lets pass

func testTimedOut(t *testing.T, e *env) {
	name := e.name()
	holder := e.must(t, e.a, name, EX)
	_, err := e.b.Lock(e.ctx, name, PR, Timeout(soon))
	expect(t, "Lock", err, ErrTimedOut)
	if r := resource(t, e.nodes, "test", name); len(r.Waiting) != 0 {
		t.Fatalf("%d wait", len(r.Waiting))
	}
	e.unlock(t, e.must(t, e.b, e.name(), PR, Timeout(time.Hour))) // granted at once
	l := begin(e.ctx, e.b, name, PR, Timeout(time.Hour))
	until(t, e.ctx, "that it waits", func() bool { return len(resource(t, e.nodes, "test", name).Waiting) == 1 })
	e.unlock(t, holder)
	got := wait(t, e.ctx, "the grant", l)
	expect(t, "Lock in time", got.err, nil)
	e.unlock(t, got.l)
}

func testTimeoutConvert(t *testing.T, e *env) {
	name := e.name()
	holder := e.must(t, e.a, name, PR)
	l := e.must(t, e.b, name, PR)
	expect(t, "Convert", l.Convert(e.ctx, EX, Timeout(soon)), ErrTimedOut)
	if l.Mode() != PR {
		t.Fatalf("mode %s", l.Mode())
	}
	e.unlock(t, holder)
	e.convert(t, l, EX, Timeout(time.Hour))
	e.unlock(t, l)
}

// queued starts Lock and waits until n requests wait at the master.
func (e *env) queued(t *testing.T, n int, s *Lockspace, name string, mode Mode, opts ...Option) <-chan outcome {
	t.Helper()
	ch := begin(e.ctx, s, name, mode, opts...)
	until(t, e.ctx, "that it waits", func() bool { return len(resource(t, e.nodes, "test", name).Waiting) == n })
	return ch
}

func testHeadOfQueue(t *testing.T, e *env) {
	name := e.name()
	holder := e.must(t, e.a, name, EX)
	first := e.queued(t, 1, e.a, name, EX)
	second := e.queued(t, 2, e.b, name, EX, HeadOfQueue())
	e.unlock(t, holder)
	got := wait(t, e.ctx, "the one at the head", second)
	expect(t, "Lock", got.err, nil)
	e.unlock(t, got.l)
	got = wait(t, e.ctx, "the other", first)
	expect(t, "Lock", got.err, nil)
	e.unlock(t, got.l)
}

func testNoOrder(t *testing.T, e *env) {
	name := e.name()
	holder := e.must(t, e.a, name, PR)
	ch := e.queued(t, 1, e.a, name, EX)
	_, err := e.b.TryLock(e.ctx, name, PR)
	expect(t, "TryLock in order", err, ErrWouldBlock)
	l, err := e.b.TryLock(e.ctx, name, PR, NoOrder())
	expect(t, "TryLock with NoOrder", err, nil)
	e.unlock(t, l)
	e.unlock(t, holder)
	e.unlock(t, wait(t, e.ctx, "the grant", ch).l)
}

func testExpedite(t *testing.T, e *env) {
	name := e.name()
	holder := e.must(t, e.a, name, PR)
	ch := e.queued(t, 1, e.a, name, EX)
	e.unlock(t, e.must(t, e.b, name, NL, Expedite()))
	_, err := e.b.TryLock(e.ctx, name, NL)
	expect(t, "without Expedite", err, ErrWouldBlock)
	e.unlock(t, holder)
	e.unlock(t, wait(t, e.ctx, "the grant", ch).l)
}

func testAlternate(t *testing.T, e *env) {
	name := e.name()
	holder := e.must(t, e.a, name, PR)
	l := e.must(t, e.b, name, EX, AlternatePR())
	if l.Mode() != PR || !l.Alternate() {
		t.Fatalf("mode %s, alternate %v", l.Mode(), l.Alternate())
	}
	e.unlock(t, holder)
	e.convert(t, l, EX, AlternatePR())
	if l.Mode() != EX || l.Alternate() {
		t.Fatalf("mode %s, alternate %v", l.Mode(), l.Alternate())
	}
	e.convert(t, l, CW)
	other := e.must(t, e.a, name, NL)
	e.convert(t, other, EX, AlternateCW())
	if other.Mode() != CW || !other.Alternate() {
		t.Fatalf("mode %s, alternate %v", other.Mode(), other.Alternate())
	}
	e.unlock(t, other)
	e.unlock(t, l)
}

// orphans gives the orphans of a name on a node, with the sessions.
func orphans(t testing.TB, n *Node, name string) (out []lockspace.LockInfo) {
	t.Helper()
	err := n.n.Space("test").Inspect(testContext(t), func(i lockspace.ResourceInfo) bool {
		if string(i.Name) == name {
			for _, l := range append(i.Granted, i.Convert...) {
				if l.Orphan {
					out = append(out, l)
				}
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// leave takes a persistent lock through a program that then goes.
func (e *env) leave(t *testing.T, node int, name string, mode Mode) {
	t.Helper()
	s := e.open(t, node, "test")
	l := e.must(t, s, name, mode, Persistent())
	if mode == EX { // by way of a conversion, which keeps it
		e.convert(t, l, PR)
		e.convert(t, l, EX)
	}
	token := l.Token()
	if err := s.Close(e.ctx); err != nil {
		t.Fatal(err)
	}
	expect(t, "Unlock after Close", l.Unlock(e.ctx), ErrNotHeld)
	until(t, e.ctx, "the orphan", func() bool { return len(orphans(t, e.nodes[node], name)) == 1 })
	if o := orphans(t, e.nodes[node], name)[0]; o.Granted != mode.String() || (o.Session != 0) != (e.dial != nil) || o.Token != token {
		t.Fatalf("orphan %+v", o)
	}
}

func testOrphan(t *testing.T, e *env) {
	for node, s := range []*Lockspace{e.a, e.b} {
		other := []*Lockspace{e.b, e.a}[node]
		name := e.name()
		_, err := s.Lock(e.ctx, name, EX, AdoptOrphan())
		expect(t, "before there is one", err, ErrNoOrphan)
		e.leave(t, node, name, EX)
		_, err = other.TryLock(e.ctx, name, PR)
		expect(t, "beside the orphan", err, ErrWouldBlock)
		_, err = other.Lock(e.ctx, name, EX, AdoptOrphan())
		expect(t, "on another node", err, ErrNoOrphan)
		_, err = s.Lock(e.ctx, name, PR, AdoptOrphan())
		expect(t, "in another mode", err, ErrOrphanMode)
		before := orphans(t, e.nodes[node], name)[0].Token
		asked := make(chan Mode, 9)
		l := e.must(t, s, name, EX, AdoptOrphan(), OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
		if l.Mode() != EX || l.Token() <= before {
			t.Fatalf("mode %s, token %d after %d", l.Mode(), l.Token(), before)
		}
		_, err = s.Lock(e.ctx, name, EX, AdoptOrphan())
		expect(t, "a second time", err, ErrNoOrphan)
		ch := begin(e.ctx, other, name, PR)
		wait(t, e.ctx, "the blocking call", asked)
		e.convert(t, l, PR)
		e.unlock(t, wait(t, e.ctx, "the grant", ch).l)
		e.unlock(t, l)
		e.unlock(t, e.must(t, other, name, EX))
	}
}

// testOrphanWaiting: what waits is withdrawn; what is granted stays.
func testOrphanWaiting(t *testing.T, e *env) {
	name, converts := e.name(), e.name()
	holder, shared := e.must(t, e.a, name, EX), e.must(t, e.a, converts, PR)
	s := e.open(t, 1, "test")
	waits := begin(e.ctx, s, name, EX, Persistent())
	l := e.must(t, s, converts, PR, Persistent())
	ch := beginConvert(e.ctx, l, EX)
	until(t, e.ctx, "that they wait", func() bool {
		return len(resource(t, e.nodes, "test", name).Waiting) == 1 && len(resource(t, e.nodes, "test", converts).Convert) == 1
	})
	if err := s.Close(e.ctx); err != nil {
		t.Fatal(err)
	}
	expect(t, "the request", wait(t, e.ctx, "its end", waits).err, ErrClosed)
	expect(t, "the conversion", wait(t, e.ctx, "its end", ch), ErrClosed)
	until(t, e.ctx, "the withdrawal", func() bool {
		return len(resource(t, e.nodes, "test", name).Waiting) == 0 && len(resource(t, e.nodes, "test", converts).Convert) == 0
	})
	if len(orphans(t, e.nodes[1], name)) != 0 || len(orphans(t, e.nodes[1], converts)) != 1 {
		t.Fatal("not just the lock that was held is an orphan")
	}
	e.unlock(t, holder)
	e.unlock(t, shared)
	until(t, e.ctx, "that it can be taken over", func() bool {
		l, err := e.b.Lock(e.ctx, converts, PR, AdoptOrphan())
		if err == nil {
			e.unlock(t, l)
		} else {
			expect(t, "Lock", err, ErrBusy)
		}
		return err == nil
	})
}

func testPurge(t *testing.T, e *env) {
	for node := range e.nodes {
		for from, s := range []*Lockspace{e.a, e.b} {
			name, other := e.name(), e.name()
			e.leave(t, node, name, EX)
			e.leave(t, node, other, EX)
			if session := orphans(t, e.nodes[node], name)[0].Session; session != 0 {
				expect(t, "Purge of nobody's", s.Purge(e.ctx, uint16(node+1), 1<<40), nil)
				expect(t, "Purge of one session's", s.Purge(e.ctx, uint16(node+1), session), nil)
				until(t, e.ctx, "that they are gone", func() bool { return len(orphans(t, e.nodes[node], name)) == 0 })
				if len(orphans(t, e.nodes[node], other)) != 1 {
					t.Fatal("another session's orphan is gone")
				}
			}
			expect(t, "Purge", s.Purge(e.ctx, uint16(node+1), 0), nil)
			until(t, e.ctx, "that all are gone", func() bool { return len(orphans(t, e.nodes[node], other)) == 0 })
			e.unlock(t, e.must(t, []*Lockspace{e.b, e.a}[from], name, EX))
			e.unlock(t, e.must(t, s, other, EX))
		}
	}
	expect(t, "Purge of a strange node", e.a.Purge(e.ctx, 9, 0), ErrNode)
	expect(t, "Purge of node 0", e.a.Purge(e.ctx, 0, 0), ErrInvalid)
	s := e.open(t, 0, "test")
	expect(t, "Close", s.Close(e.ctx), nil)
	expect(t, "Purge after Close", s.Purge(e.ctx, 1, 0), ErrClosed)
}

func testForce(t *testing.T, e *env) {
	name := e.name()
	holder := e.must(t, e.a, name, PR)
	l := e.must(t, e.b, name, PR)
	ch := beginConvert(e.ctx, l, EX)
	until(t, e.ctx, "that it waits", func() bool { return len(resource(t, e.nodes, "test", name).Convert) == 1 })
	expect(t, "Unlock", l.Unlock(e.ctx), ErrBusy)
	expect(t, "Unlock with Force", l.Unlock(e.ctx, Force()), nil)
	expect(t, "the conversion", wait(t, e.ctx, "its end", ch), ErrCancelled)
	expect(t, "Unlock once more", l.Unlock(e.ctx, Force()), ErrNotHeld)
	done := make(chan error, 1)
	l = e.b.LockAsync(name, EX, func(_ *Lock, err error) { done <- err })
	expect(t, "Unlock of a request", l.Unlock(e.ctx, Force()), nil)
	expect(t, "the request", wait(t, e.ctx, "its end", done), ErrCancelled)
	e.unlock(t, holder, Force()) // nothing runs
	l = e.must(t, e.b, name, EX)
	l.UnlockAsync(func(err error) { done <- err }, Force())
	expect(t, "UnlockAsync with Force", wait(t, e.ctx, "its end", done), ErrFlags)
	expect(t, "Unlock with Force and New", l.Unlock(e.ctx, Force(), New()), ErrFlags)
	e.unlock(t, l)
}

// testOptionRules: what the options' combinations are refused with can be told
// apart, and is ErrInvalid all the same.
func testOptionRules(t *testing.T, e *env) {
	l := e.must(t, e.a, e.name(), NL)
	lock := func(mode Mode, opts ...Option) error {
		_, err := e.a.Lock(e.ctx, l.Name(), mode, opts...)
		return err
	}
	for what, c := range map[string]struct{ err, want error }{
		"Expedite of EX":      {lock(EX, Expedite()), ErrFlags},
		"Expedite, NoQueue":   {lock(NL, Expedite(), NoQueue()), ErrFlags},
		"AdoptOrphan, New":    {lock(EX, AdoptOrphan(), New()), ErrFlags},
		"Force of a lock":     {lock(EX, Force()), ErrFlags},
		"Timeout of 0":        {lock(EX, Timeout(0)), ErrFlags},
		"mode 9":              {lock(9), ErrMode},
		"Expedite to convert": {l.Convert(e.ctx, CR, Expedite()), ErrFlags},
		"Orphan to convert":   {l.Convert(e.ctx, CR, AdoptOrphan()), ErrFlags},
		"negative Timeout":    {l.Convert(e.ctx, CR, Timeout(-1)), ErrFlags},
		"Timeout to unlock":   {l.Unlock(e.ctx, Timeout(1)), ErrFlags},
		"HeadOfQueue":         {l.Unlock(e.ctx, HeadOfQueue()), ErrFlags},
		"long value":          {l.Unlock(e.ctx, WithValue(make([]byte, 99))), ErrValue},
	} {
		if !errors.Is(c.err, c.want) || !errors.Is(c.err, ErrInvalid) {
			t.Errorf("%s: error %v, want %v", what, c.err, c.want)
		}
	}
	_, err := e.a.Lock(e.ctx, "", EX)
	expect(t, "no name", err, ErrName)
	e.unlock(t, l)
}
