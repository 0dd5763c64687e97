package lockspace

import (
	"math/rand/v2"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// within gives l's running operation a deadline.
func (l *tlock) within(ns int64) Status {
	return l.n.shardOf(l.name).Deadline(l.n.now(), l.id, l.tag, ns)
}

// What is not granted in time is withdrawn in the cluster; what is granted
// before has no deadline any more.
func TestDeadline(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		n := s.c.node(s.user)
		sh := n.shards[0]
		s.do("A lock EX")
		if st := s.lock["A"].within(5); st != wire.Invalid {
			t.Errorf("of what is granted: %v", st)
		}
		if len(sh.timers) != 0 {
			t.Error("a deadline that nobody has")
		}
		s.do("B lock PR")
		s.do("C lock PR")
		if st := s.lock["B"].within(1000); st != wire.OK {
			t.Fatal(st)
		}
		if len(sh.timers) != 1 || sh.timers[0].at != n.now()+1000 || sh.Quiet() {
			t.Errorf("deadlines %v at %d, quiet %v", sh.timers, n.now(), sh.Quiet())
		}
		pass := func(ns int64) string {
			s.c.now += ns
			n.tick()
			s.c.settle()
			return s.events()
		}
		if got := pass(900); got != "" {
			t.Errorf("before its time: %q", got)
		}
		if got := pass(100); got != "B:timed out/--" {
			t.Errorf("at its time: %q", got)
		}
		if got := s.do("A convert NL"); got != "A=NL C=PR" {
			t.Errorf("the one behind it: %q", got)
		}
		s.do("D lock PR")
		s.do("D convert EX")
		if st := s.lock["D"].within(1000); st != wire.OK {
			t.Fatal(st)
		}
		if got := pass(1000); got != "D:timed out/PR" {
			t.Errorf("conversion: %q", got)
		}
		s.do("D convert EX")
		s.lock["D"].within(1000)
		s.lock["D"].within(5000) // in its place
		if got := pass(2000); got != "" {
			t.Errorf("after a longer time was given: %q", got)
		}
		if got := s.do("C unlock"); got != "D=EX" {
			t.Errorf("granted: %q", got)
		}
		if got := pass(5000); got != "" || len(sh.timers)+len(sh.timerOf) != 0 {
			t.Errorf("after the grant: %q, %d timers", got, len(sh.timers))
		}
	})
}

// A deadline beyond the end of time is none.
func TestDeadlineRange(t *testing.T) {
	c := newCluster(t, 1, 1, 0)
	x := c.mastered("x", 1, 0)
	c.hold(1, x, EX, 0)
	l := c.node(1).lock(x, EX, 0)
	for _, ns := range []int64{1<<63 - 1, -1} {
		if st := l.within(ns); st != wire.OK {
			t.Fatal(st)
		}
		at := c.node(1).shards[0].timers[0].at
		if ns > 0 && at < c.now || ns < 0 && at != c.now {
			t.Errorf("%d ns from %d: %d", ns, c.now, at)
		}
	}
	c.node(1).tick()
	if l.last.Status != wire.TimedOut {
		t.Errorf("ended with %v", l.last.Status)
	}
	c.windDown()
}

// The heap gives deadlines in order whatever is taken out of its middle.
func TestTimerHeap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var h timerHeap
		var in []*timer
		for id := range uint64(1 + rng.IntN(60)) {
			tm := &timer{at: int64(rng.IntN(10)), id: id}
			h.push(tm)
			in = append(in, tm)
		}
		for range rng.IntN(len(in)) {
			i := rng.IntN(len(in))
			h.remove(in[i])
			in = append(in[:i], in[i+1:]...)
		}
		var last timer
		for i := 0; len(h) > 0; i++ {
			first := h[0]
			if i > 0 && (first.at < last.at || first.at == last.at && first.id < last.id) {
				t.Fatalf("%+v after %+v", *first, last)
			}
			last = *first
			h.remove(first)
			in = in[:len(in)-1]
		}
		if len(in) != 0 {
			t.Fatalf("%d got lost", len(in))
		}
	}
}

// Requests that are granted at once or soon leave no timer behind.
func TestDeadlinesAreBounded(t *testing.T) {
	c := newCluster(t, 1, 1, 0)
	x := c.mastered("x", 1, 0)
	sh := c.node(1).shards[0]
	for range 1000 {
		a := c.hold(1, x, EX, 0)
		b := c.node(1).lock(x, EX, 0)
		if st := b.within(1 << 60); st != wire.OK {
			t.Fatal(st)
		}
		a.unlock(0, nil)
		b.unlock(0, nil)
		if len(sh.timers)+len(sh.timerOf) != 0 {
			t.Fatal("a timer is left")
		}
	}
	c.windDown()
}
