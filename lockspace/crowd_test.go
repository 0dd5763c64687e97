package lockspace

import (
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/lockify-dlm/lockify/wire"
)

// crowd is a name with n locks in mode.
func crowd(t testing.TB, n int, mode Mode, flags uint32) *hot {
	h := newHot(t, 1)
	h.next(1)
	h.q.Mode, h.q.Flags = mode, flags
	for range n {
		if _, st := h.s.Lock(h.now, &h.q); st != wire.OK {
			t.Fatal(st)
		}
	}
	return h
}

// BenchmarkCrowd: a lock and its unlock in one mode beside many in another.
func BenchmarkCrowd(b *testing.B) {
	for _, x := range []struct{ held, comes Mode }{{CR, PW}, {CR, CR}, {NL, EX}} {
		for _, n := range []int{1, 100, 20_000} {
			b.Run(fmt.Sprintf("%v-beside-%d-%v", x.comes, n, x.held), func(b *testing.B) {
				h := crowd(b, n, x.held, 0)
				h.q.Mode = x.comes
				b.ReportAllocs()
				for b.Loop() {
					h.lockUnlock()
				}
			})
		}
	}
}

// TestMain has names counted as soon as they have two locks, in all tests.
func TestMain(m *testing.M) {
	countFrom = 2
	os.Exit(m.Run())
}

// BenchmarkCrowdWaitedFor: a lock and its unlock beside many readers whom a writer waits for.
func BenchmarkCrowdWaitedFor(b *testing.B) {
	for _, n := range []int{1, 100, 20_000} {
		for _, mode := range []Mode{PW, EX} {
			b.Run(fmt.Sprint(n, " ", mode), func(b *testing.B) {
				h := crowd(b, n, PR, WantBast)
				h.q.Mode, h.q.Flags = mode, 0
				if _, st := h.s.Lock(h.now, &h.q); st != wire.OK {
					b.Fatal(st)
				}
				h.q.Mode, h.q.Flags = NL, Expedite
				b.ReportAllocs()
				for b.Loop() {
					h.lockUnlock()
				}
			})
		}
	}
}

// checkCounts compares what is counted with the locks themselves.
func (s *Shard) checkCounts(t *rapid.T, r *resource) {
	if !r.traits.has(counted) {
		return
	}
	was := r.modes
	s.countModes(r)
	if r.modes != was {
		t.Fatalf("counted %v, there are %v", was, r.modes)
	}
}

// checkTold: whom nobody looks at any more has nothing to hear.
func (s *Shard) checkTold(t *rapid.T, r *resource) {
	for l := r.granted.head; l != nil && r.traits.has(told); l = l.next {
		if l.wantBast && (l.blocks(EX, false) || l.blocks(EX, true)) {
			t.Fatalf("holder in %v has heard %v", l.granted, l.high)
		}
	}
	for l := r.granted.head; l != nil && r.traits.has(toldPW); l = l.next {
		for _, m := range []Mode{NL, CR, PR, PW} {
			if l.wantBast && l.blocks(m, false) {
				t.Fatalf("holder in %v has heard %v, and not of %v", l.granted, l.high, m)
			}
		}
	}
}

// TestCounts: what many locks of a name exclude is what each of them would, whatever has been
// done to them; and nothing is kept of a name whose locks have gone.
func TestCounts(test *testing.T) {
	kept, heard, heardPW := 0, 0, 0
	rapid.Check(test, func(t *rapid.T) {
		h := crowd(test, 0, NL, 0)
		var ids []uint64
		mode := rapid.SampledFrom([]Mode{NL, NL, NL, CR, CR, CR, CW, PR, PW, EX})
		flags := rapid.SampledFrom([]uint32{NoQueue, NoQueue, 0, HeadQue, OutOfOrder, AltPR, ConvDeadlk, NoDlckWt, WantBast, WantBast})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			h.now++
			q := Request{Name: h.q.Name, Hash: h.q.Hash, Mode: mode.Draw(t, "mode"), Flags: flags.Draw(t, "flags") &^ ConvDeadlk}
			switch n := rapid.IntRange(0, 5).Draw(t, "what"); {
			case n < 3 || len(ids) == 0:
				if id, st := h.s.Lock(h.now, &q); st == wire.OK {
					ids = append(ids, id)
				}
			default:
				at := rapid.IntRange(0, len(ids)-1).Draw(t, "which")
				switch n {
				case 3:
					h.s.Convert(h.now, ids[at], q.Mode, flags.Draw(t, "flags")&^HeadQue, nil, 0)
				case 4:
					h.s.Cancel(h.now, ids[at], 0)
				case 5:
					h.s.Unlock(h.now, ids[at], ForceUnlock, nil)
					ids = append(ids[:at], ids[at+1:]...)
				}
			}
			r := h.s.names.find(h.q.Hash, h.q.Name)
			if r == nil {
				continue
			}
			h.s.checkCounts(t, r)
			h.s.checkTold(t, r)
			if r.traits.has(told) && r.granted.head != nil {
				heard++
			}
			if r.traits.has(toldPW) && !r.traits.has(told) && r.granted.head != nil {
				heardPW++
			}
			if r.traits.has(counted) {
				kept++
			}
			for w := NL; w <= EX; w++ {
				l := &Lock{res: r, lockState: lockState{granted: NoMode, wanted: w}}
				if got, want := h.s.conflicts(r, l), conflictsWith(&r.granted, l, w) || conflictsWith(&r.convert, l, w); got != want {
					t.Fatalf("a new %v: conflicts %v", w, got)
				}
				for _, q := range []*queue{&r.granted, &r.convert} {
					for o := q.head; o != nil; o = o.next {
						was := o.wanted
						o.wanted = w
						if got, want := h.s.conflicts(r, o), conflictsWith(&r.granted, o, w) || conflictsWith(&r.convert, o, w); got != want {
							t.Fatalf("%v to %v: conflicts %v", o.granted, w, got)
						}
						o.wanted = was
					}
				}
			}
		}
		for _, id := range ids {
			h.s.Unlock(h.now, id, ForceUnlock, nil)
		}
		h.now += 2 * hotIdle
		h.s.Tick(h.now)
		if r := h.s.names.find(h.q.Hash, h.q.Name); r != nil && r.unqueued() && r.traits.has(counted) {
			t.Fatalf("counts without locks: %v", r.modes)
		}
	})
	if heard == 0 || heardPW == 0 {
		test.Fatal("nobody was told of EX, or of PW")
	}
	if kept == 0 {
		test.Error("nothing was counted")
	}
}
