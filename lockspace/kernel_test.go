package lockspace

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// The kernel's matrices (Linux 6.6, fs/dlm/lock.c), literally. Rows: granted;
// columns: requested; both UN NL CR CW PR PW EX PD.
var (
	kernelCompat = [8][8]int{
		{1, 1, 1, 1, 1, 1, 1, 0},
		{1, 1, 1, 1, 1, 1, 1, 0},
		{1, 1, 1, 1, 1, 1, 0, 0},
		{1, 1, 1, 1, 0, 0, 0, 0},
		{1, 1, 1, 0, 1, 0, 0, 0},
		{1, 1, 1, 0, 0, 0, 0, 0},
		{1, 1, 0, 0, 0, 0, 0, 0},
		{0, 0, 0, 0, 0, 0, 0, 0},
	}
	kernelQuecvt = [8][8]int{
		{0, 0, 0, 0, 0, 0, 0, 0},
		{0, 0, 1, 1, 1, 1, 1, 0},
		{0, 0, 0, 1, 1, 1, 1, 0},
		{0, 0, 0, 0, 1, 1, 1, 0},
		{0, 0, 0, 1, 0, 1, 1, 0},
		{0, 0, 0, 0, 0, 0, 1, 0},
		{0, 0, 0, 0, 0, 0, 0, 0},
		{0, 0, 0, 0, 0, 0, 0, 0},
	}
	kernelLvb = [8][8]int{
		{-1, 1, 1, 1, 1, 1, 1, -1},
		{-1, 1, 1, 1, 1, 1, 1, 0},
		{-1, -1, 1, 1, 1, 1, 1, 0},
		{-1, -1, -1, 1, 1, 1, 1, 0},
		{-1, -1, -1, -1, 1, 1, 1, 0},
		{-1, 0, 0, 0, 0, 0, 1, 0},
		{-1, 0, 0, 0, 0, 0, 0, 0},
		{-1, 0, 0, 0, 0, 0, 0, 0},
	}
)

func TestCompatibility(t *testing.T) {
	for a := NL; a <= EX; a++ {
		for b := NL; b <= EX; b++ {
			want := kernelCompat[a+1][b+1] == 1
			if Compatible(a, b) != want || Compatible(b, a) != want {
				t.Errorf("Compatible(%v, %v) is not %v", a, b, want)
			}
			onBoth(t, func(t *testing.T, s *stage) {
				s.do(fmt.Sprintf("A lock %v", a))
				if got := s.do(fmt.Sprintf("B lock %v noqueue", b)) == fmt.Sprintf("B=%v", b); got != want {
					t.Errorf("%v beside %v: %v", b, a, got)
				}
			})
		}
		if !Compatible(a, NoMode) || !Compatible(NoMode, a) {
			t.Errorf("%v excludes nothing", a)
		}
	}
}

func TestQuecvtMatrix(t *testing.T) {
	for from := NL; from <= EX; from++ {
		for to := NL; to <= EX; to++ {
			onBoth(t, func(t *testing.T, s *stage) {
				s.do(fmt.Sprintf("A lock %v", from))
				l := s.lock["A"]
				ends := l.ends
				l.tag, l.wanted = l.tag+1, to
				st := l.n.shards[0].Convert(l.n.now(), l.id, to, QueCvt, nil, l.tag)
				if got := st == wire.OK; got != (kernelQuecvt[from+1][to+1] == 1) {
					t.Errorf("%v to %v: %v", from, to, st)
				}
				s.c.settle()
				if st != wire.OK {
					l.tag, l.wanted = l.tag-1, NoMode
				} else if l.ends != ends+1 || !l.holds(to) {
					t.Errorf("%v to %v: %d completions, %v", from, to, l.ends-ends, l.mode)
				}
			})
		}
	}
}

func TestValueMatrix(t *testing.T) {
	for from := NL; from <= EX; from++ {
		for to := NL; to <= EX; to++ {
			onBoth(t, func(t *testing.T, s *stage) {
				s.do("W lock EX")
				s.do("W unlock valblk value=1")
				s.do(fmt.Sprintf("A lock %v", from))
				got := s.do(fmt.Sprintf("A convert %v valblk value=2", to))
				if s.lock["A"].mode > NL { // give it up without touching the value
					s.do("A unlock")
				}
				after := s.do("R lock PR valblk")
				want, wantAfter := fmt.Sprintf("A=%v", to), "R=PR(1)"
				switch kernelLvb[from+1][to+1] {
				case 1:
					want += "(1)"
				case 0:
					wantAfter = "R=PR(2)"
				}
				if got != want || after != wantAfter {
					t.Errorf("%v to %v: %q then %q, want %q then %q", from, to, got, after, want, wantAfter)
				}
			})
		}
	}
	for to := NL; to <= EX; to++ { // row UN: a new lock reads
		onBoth(t, func(t *testing.T, s *stage) {
			s.do("W lock EX")
			s.do("W unlock valblk value=1")
			if got, want := s.do(fmt.Sprintf("A lock %v valblk", to)), fmt.Sprintf("A=%v(1)", to); kernelLvb[0][to+1] != 1 || got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}
