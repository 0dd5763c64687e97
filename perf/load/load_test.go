package load

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/perf"
)

// book is a lock service that finds mistakes of who uses it.
type book struct {
	mu    sync.Mutex
	held  map[string]bool
	seen  map[string]int
	pairs int64
	fail  int64 // pair with which it fails; 0: none
}

var errBook = errors.New("book is full")

func newBook() *book { return &book{held: map[string]bool{}, seen: map[string]int{}} }

func (b *book) take(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held[name] {
		return errors.New(name + " is held")
	}
	b.held[name] = true
	b.seen[name]++
	return nil
}

func (b *book) give(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.held[name] {
		return errors.New(name + " is not held")
	}
	delete(b.held, name)
	if b.pairs++; b.pairs == b.fail {
		return errBook
	}
	return nil
}

type bookLane struct {
	b     *book
	names []string
}

func (l *bookLane) Acquire(_ context.Context, names []string) (err error) {
	l.names = append(l.names[:0], names...)
	for _, n := range names {
		err = errors.Join(err, l.b.take(n))
	}
	return err
}

func (l *bookLane) Release(context.Context) (err error) {
	for _, n := range l.names {
		err = errors.Join(err, l.b.give(n))
	}
	return err
}

// bookSlots answers from another goroutine.
type bookSlots struct {
	b     *book
	names []string
}

func (s *bookSlots) Acquire(slot int, name string, done func(error)) {
	s.names[slot] = name
	go func() { done(s.b.take(name)) }()
}

func (s *bookSlots) Release(slot int, done func(error)) {
	go func() { done(s.b.give(s.names[slot])) }()
}

func bookLanes(b *book, n int) Service {
	var v Service
	for range n {
		v.Lanes = append(v.Lanes, &bookLane{b: b})
	}
	return v
}

// TestRun: what is counted is what the service has seen, and nothing stays locked.
func TestRun(t *testing.T) {
	for name, x := range map[string]struct {
		slots bool
		shape Shape
	}{
		"closed":      {false, Shape{}},
		"batches":     {false, Shape{Batch: 8}},
		"samples":     {false, Shape{Sample: 16}},
		"open":        {false, Shape{Rate: 5000}},
		"slots":       {true, Shape{}},
		"slots, open": {true, Shape{Rate: 5000}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook()
			v := bookLanes(b, 3)
			if x.slots {
				v = Service{Async: &bookSlots{b, make([]string, 4)}, Slots: 4}
			}
			x.shape.Duration, x.shape.Names.Prefix = 10*time.Millisecond, "x"
			began := 0
			r, err := Run(t.Context(), v, x.shape, func() { began++ })
			if err != nil {
				t.Fatal(err)
			}
			turns := r.Pairs / int64(max(x.shape.Batch, 1))
			if began != 1 || r.Pairs != b.pairs || r.Pairs == 0 || len(b.held) != 0 {
				t.Errorf("began %d times; %d pairs, the service had %d; %d are held", began, r.Pairs, b.pairs, len(b.held))
			}
			if n := r.Acquire.Count(); x.shape.Sample == 0 && n != turns || n == 0 || n > turns {
				t.Errorf("%d times of %d turns", n, turns)
			}
			if x.shape.Rate > 0 && r.Pairs != 50 { // 10 ms at 5000 a second
				t.Errorf("%d pairs, 50 were due", r.Pairs)
			}
			for name, n := range b.seen {
				if n != 1 {
					t.Errorf("%q was new %d times", name, n)
				}
			}
		})
	}
}

// TestRunFails: an error ends all lanes and slots.
func TestRunFails(t *testing.T) {
	for _, rate := range []float64{0, 100_000} {
		b := newBook()
		b.fail = 100
		s := Shape{Duration: time.Minute, Rate: rate}
		if _, err := Run(t.Context(), bookLanes(b, 3), s, nil); !errors.Is(err, errBook) {
			t.Errorf("lanes, rate %v: %v", rate, err)
		}
		b.pairs = 0
		if _, err := Run(t.Context(), Service{Async: &bookSlots{b, make([]string, 4)}, Slots: 4}, s, nil); !errors.Is(err, errBook) {
			t.Errorf("slots, rate %v: %v", rate, err)
		}
	}
}

// TestOpenCountsTheWait: what comes too late is counted from when it was due.
func TestOpenCountsTheWait(t *testing.T) {
	now := time.Now()
	due := &schedule{begin: now.Add(-time.Second), end: now, rate: 100}
	b := newBook()
	l := &lane{l: &bookLane{b: b}, s: &Shape{}, next: newSource(Names{Kind: New}).lane(0), batch: make([]string, 1), hist: perf.NewHistogram()}
	if err := l.open(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	if l.pairs != 100 || l.hist.QuantileUS(0.5) < 490_000 || l.hist.MaxUS() < 999_000 {
		t.Errorf("%d pairs, median %v us, longest %v us: all were due in the second before", l.pairs, l.hist.QuantileUS(0.5), l.hist.MaxUS())
	}
}

func TestNames(t *testing.T) {
	n := Names{Kind: Zipf, Prefix: "z", Count: 1000, Skew: 1}
	if err := n.validate(); err != nil {
		t.Fatal(err)
	}
	next, counts := newSource(n).lane(0), map[string]int{}
	const draws = 100_000
	for range draws {
		counts[next()]++
	}
	// With 1000 names and skew 1 the first one gets 1 of 7.485, the tenth a tenth of that.
	for name, want := range map[string]float64{"z0": draws / 7.485, "z9": draws / 74.85} {
		if got := float64(counts[name]); got < want*0.9 || got > want*1.1 {
			t.Errorf("%s: %v times, want about %v", name, got, want)
		}
	}
	own := newSource(Names{Kind: Own, Prefix: "o"}).lane(3)
	if a, b := own(), own(); a != "o3" || b != "o3" {
		t.Errorf("own names %q, %q", a, b)
	}
	for _, bad := range []Names{{Kind: "old"}, {Kind: Spread}, {Kind: Zipf, Count: 1, Skew: -1}, {Kind: Zipf, Count: maxNames + 1}} {
		if bad.validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
