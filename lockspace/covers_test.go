package lockspace

import "testing"

// What covers a mode answers for it: whatever may be beside the one may be beside the other.
func TestCovers(t *testing.T) {
	for a := NL; a <= EX; a++ {
		for b := NL; b <= EX; b++ {
			want := true
			for x := NL; x <= EX; x++ {
				want = want && (!Compatible(x, a) || Compatible(x, b))
			}
			if a.covers(b) != want {
				t.Errorf("%v covers %v: %v, want %v", a, b, !want, want)
			}
		}
		if a.covers(NoMode) || NoMode.covers(a) {
			t.Errorf("%v and no mode", a)
		}
	}
}

// conflicts finds what looking at each lock finds, in all queues of three modes that may be
// together.
func TestConflicts(t *testing.T) {
	for a := NL; a <= EX; a++ {
		for b := NL; b <= EX; b++ {
			for c := NL; c <= EX; c++ {
				if !Compatible(a, b) || !Compatible(a, c) || !Compatible(b, c) {
					continue
				}
				s := &Shard{}
				r := &resource{rare: &s.noRare}
				for _, m := range []Mode{a, b, c} {
					r.granted.push(&Lock{res: r, lockState: lockState{granted: m, wanted: NoMode}})
				}
				for w := NL; w <= EX; w++ {
					if got, want := s.conflicts(r, &Lock{lockState: lockState{granted: NoMode, wanted: w}}), !Compatible(a, w) || !Compatible(b, w) || !Compatible(c, w); got != want {
						t.Errorf("%v to %v, %v and %v: conflicts %v", w, a, b, c, got)
					}
					last := r.granted.head.prev
					last.wanted = w
					if got, want := s.conflicts(r, last), !Compatible(a, w) || !Compatible(b, w); got != want {
						t.Errorf("%v of %v to %v and %v: conflicts %v", w, c, a, b, got)
					}
				}
			}
		}
	}
}
