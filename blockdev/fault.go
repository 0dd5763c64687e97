package blockdev

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Rule says what goes wrong with some requests.
type Rule struct {
	// Which requests: those of Ops (nil: all) that touch bytes From to To (To 0: up to
	// the end; a Flush touches everything); of them, not the first Skip; no more than
	// Times (0: no limit); each with this Chance (0: all).
	Ops      []Op
	From, To int64
	Skip     int
	Times    int
	Chance   float64

	// What happens: the request waits for Delay, and for Release if Hold is set. Then,
	// if Torn is set, a Write does its first Torn bytes (whole blocks) and ends with
	// Status (OK stands for StatusWriteFault). Else a Status that is not OK ends it,
	// and the device does not hear of it. Else, if Lost is set, it ends with success,
	// and the device does not hear of it. Else it is done.
	Delay  time.Duration
	Hold   bool
	Torn   int
	Status Status
	Lost   bool

	seen, hit int
}

func (r *Rule) matches(s *SQE, rng *rand.Rand) bool {
	switch {
	case r.Ops != nil && !slices.Contains(r.Ops, s.Op):
		return false
	case s.Op != Flush && (s.Offset+s.Length <= r.From || r.To > 0 && s.Offset >= r.To):
		return false
	case r.Times > 0 && r.hit == r.Times:
		return false
	}
	if r.seen++; r.seen <= r.Skip || r.Chance > 0 && rng.Float64() >= r.Chance {
		return false
	}
	r.hit++
	return true
}

// Fault is a device that does what its rules say to the requests of another one. With a
// volatile cache it also loses power. It is for tests; it allocates.
type Fault struct {
	inner Device
	info  Info

	mu       sync.Mutex
	rng      *rand.Rand
	rules    []*Rule
	cache    *cache // nil: none
	releases int    // calls of Release
	crashes  int
	rings    []*faultBackend
}

// NewFault makes a device of inner, which it owns from now on. The same seed makes
// the same choices. With cached, what was written gets lost in Crash until a
// Flush has succeeded; ctx is for the requests that this needs.
func NewFault(ctx context.Context, inner Device, seed uint64, cached bool) (*Fault, error) {
	f := &Fault{inner: inner, info: inner.Info(), rng: rand.New(rand.NewPCG(seed, 0))}
	if cached {
		io, err := NewIO(ctx, inner)
		if err != nil {
			return nil, err
		}
		f.cache = newCache(io)
		f.info.VolatileCache = true
	}
	return f, nil
}

// Set replaces the rules. The first one that matches a request decides. Requests that
// are held stay so.
func (f *Fault) Set(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = f.rules[:0]
	for i := range rules {
		f.rules = append(f.rules, &rules[i])
	}
}

// Release lets all go that is held now.
func (f *Fault) Release() {
	f.mu.Lock()
	f.releases++
	f.mu.Unlock()
	f.wake()
}

// Held says how many requests wait for Release or for a delay.
func (f *Fault) Held() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, b := range f.rings {
		n += len(b.late)
	}
	return n
}

// Crash is a loss of power: each block that was written since the last successful Flush
// has what was written last, or what it had before, at random. Requests that are held
// end with StatusLost and are not done. There should be no others under way.
func (f *Fault) Crash() error {
	f.mu.Lock()
	var err error
	if f.cache != nil {
		err = f.cache.crash(f.rng)
	}
	f.crashes++
	f.mu.Unlock()
	f.wake()
	return err
}

func (f *Fault) wake() {
	f.mu.Lock()
	rings := slices.Clone(f.rings)
	f.mu.Unlock()
	for _, b := range rings {
		b.Wake()
	}
}

// Inner gives the device below.
func (f *Fault) Inner() Device { return f.inner }

// Info describes the device.
func (f *Fault) Info() Info { return f.info }

// NewRing makes a ring over one of the inner device.
func (f *Fault) NewRing(ctx context.Context, cfg RingConfig) (*Ring, error) {
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	b := &faultBackend{f: f, notify: cfg.Notify, wake: make(chan struct{}, 1), outcome: make([]outcome, cfg.Depth)}
	below := cfg
	if cfg.Notify != nil {
		below.Notify = b.ring
	}
	if b.inner, err = f.inner.NewRing(ctx, below); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rings = append(f.rings, b)
	return NewRing(f.info, cfg, b)
}

// Close closes the inner device.
func (f *Fault) Close() error {
	var err error
	if f.cache != nil {
		err = f.cache.io.Close()
	}
	return errors.Join(err, f.inner.Close())
}

// decide gives what happens to s.
func (f *Fault) decide(s *SQE) Rule {
	for _, r := range f.rules {
		if r.matches(s, f.rng) {
			return *r
		}
	}
	return Rule{}
}
