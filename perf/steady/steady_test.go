package steady

import (
	"testing"
	"time"
)

// TestSlow: of samples each 2 ms, those that took long make a slow time, from the last good
// one to a while after the last bad one.
func TestSlow(t *testing.T) {
	zero := time.Now()
	at := func(ms int) time.Time { return zero.Add(time.Duration(ms) * time.Millisecond) }
	bad := func(ms int) bool { return ms > 20 && ms <= 26 || ms > 50 && ms <= 56 || ms == 200 }
	var samples []sample
	for ms := 2; ms <= 300; ms += 2 {
		took := 10 * time.Microsecond
		switch {
		case bad(ms):
			took *= 12
		case ms%4 == 0:
			took = took * 18 / 10 // as a busy machine has it
		}
		samples = append(samples, sample{at(ms - 2), at(ms), took})
	}
	got := slow(samples)
	want := Times{{at(20), at(86)}, {at(198), at(230)}}
	if len(got) != len(want) {
		t.Fatalf("slow times: %v, want %v", got, want)
	}
	for i := range want {
		if !got[i].from.Equal(want[i].from) || !got[i].to.Equal(want[i].to) {
			t.Errorf("slow time %d: %v, want %v", i, got[i], want[i])
		}
	}
	for _, c := range []struct {
		from, to, want int
		in             bool
	}{
		{0, 10, 10, false}, {0, 30, 20, false}, {30, 40, 0, true}, {30, 90, 4, true}, {86, 90, 4, false}, {10, 300, 192, false},
	} {
		if got := want.Without(at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond || want.In(at(c.from)) != c.in {
			t.Errorf("%d to %d ms: %v, in a slow time: %v; want %d ms, %v", c.from, c.to, got, want.In(at(c.from)), c.want, c.in)
		}
	}
	if s := slow(nil); s != nil {
		t.Errorf("nobody has looked: %v", s)
	}
}

// TestWatch: a watch sees what the machine does, and ends.
func TestWatch(t *testing.T) {
	if threadTime() == 0 {
		t.Skip("a thread's time is not known here")
	}
	w := Start()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for begin, n := time.Now(), 0; n < 10; <-tick.C {
		w.mu.Lock()
		n = len(w.samples)
		w.mu.Unlock()
		if time.Since(begin) > time.Minute {
			t.Fatal("nobody looks")
		}
	}
	w.Stop()
	for _, s := range w.samples {
		if s.took <= 0 || !s.before.Before(s.end) {
			t.Errorf("%+v", s)
		}
	}
	w.Slow()
}
