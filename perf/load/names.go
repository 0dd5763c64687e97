package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"sync/atomic"
)

// Kinds of Names.
const (
	New    = "new"    // never used before
	Own    = "own"    // one for each lane, again and again
	Spread = "spread" // any of Count, each as likely
	Zipf   = "zipf"   // any of Count; the k-th most wanted 1/k^Skew as likely as the first
)

// Names says what is locked. The zero value means New.
type Names struct {
	Kind   string  `json:"kind,omitempty"`
	Prefix string  `json:"prefix,omitempty"` // of all names; those of New must differ from run to run by it
	Count  int     `json:"count,omitempty"`  // of Spread, Zipf: 1 to 100 million
	Skew   float64 `json:"skew,omitempty"`   // of Zipf: 0 to 10
}

const maxNames = 100_000_000

func (n *Names) validate() error {
	switch n.Kind {
	case "":
		n.Kind = New
	case New, Own:
	case Spread, Zipf:
		if n.Count < 1 || n.Count > maxNames || n.Skew < 0 || n.Skew > 10 {
			return fmt.Errorf("load: %d names with skew %g: want 1 to %d, and 0 to 10", n.Count, n.Skew, maxNames)
		}
	default:
		return fmt.Errorf("load: names %q: want %s, %s, %s or %s", n.Kind, New, Own, Spread, Zipf)
	}
	return nil
}

// Name gives the i-th name of Spread and Zipf, from 0.
func (n *Names) Name(i int) string { return n.Prefix + strconv.Itoa(i) }

// source gives names to lanes, in all turns of a run.
type source struct {
	Names
	share []float64 // of Zipf: the part of all that goes to the first i+1 names
	turns atomic.Uint64
}

func newSource(n Names) *source {
	s := &source{Names: n}
	if n.Kind == Zipf {
		s.share = make([]float64, n.Count)
		sum := 0.0
		for i := range s.share {
			sum += math.Pow(float64(i+1), -n.Skew)
			s.share[i] = sum
		}
		for i := range s.share {
			s.share[i] /= sum
		}
	}
	return s
}

// lane gives what names a lane's names, one after the other.
func (s *source) lane(i int) func() string {
	turn := s.turns.Add(1)
	r := rand.New(rand.NewPCG(uint64(i), turn))
	switch s.Kind {
	case Own:
		name := s.Name(i)
		return func() string { return name }
	case Spread:
		return func() string { return s.Name(r.IntN(s.Count)) }
	case Zipf:
		return func() string { return s.Name(sort.SearchFloat64s(s.share, r.Float64())) }
	}
	b := append(strconv.AppendUint([]byte(s.Prefix), turn, 36), '-')
	return newNames(b)
}

// namesAtOnce is how many new names are made together: they lie behind each other in one
// string, as to make one for each would cost as much as some of the systems that are measured.
const namesAtOnce = 256

// newNames gives what gives names that begin with prefix, each another one.
func newNames(prefix []byte) func() string {
	var buf []byte
	var all string
	var ends [namesAtOnce]int
	given, begin, n := namesAtOnce, 0, uint64(0)
	return func() string {
		if given == namesAtOnce {
			buf = buf[:0]
			for i := range ends {
				n++
				buf = strconv.AppendUint(append(buf, prefix...), n, 36)
				ends[i] = len(buf)
			}
			all, given, begin = string(buf), 0, 0
		}
		name := all[begin:ends[given]]
		begin = ends[given]
		given++
		return name
	}
}
