package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify"
)

// worker is a program that locks, one thing after the other.
type worker struct {
	*run
	rng    *rand.Rand
	client *lockify.Client
	space  *lockify.Lockspace
	node   int
	lane   int
	made   int // values and names
}

// counts are of all workers.
type counts struct {
	locks, converts, unlocks, refused, withdrawn, claimsLost atomic.Int64

	mu  sync.Mutex
	odd map[string]int // errors that are none of those that there must be
}

// failed counts an operation that was not done.
func (r *run) failed(err error) {
	switch {
	case errors.Is(err, lockify.ErrWouldBlock), errors.Is(err, lockify.ErrDeadlock):
		r.count.refused.Add(1)
	case errors.Is(err, lockify.ErrCancelled), errors.Is(err, lockify.ErrTimedOut), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled), errors.Is(err, lockify.ErrLost):
		r.count.withdrawn.Add(1)
	default:
		r.count.mu.Lock()
		r.count.odd[err.Error()]++
		r.count.mu.Unlock()
	}
}

// A name is used for a while only, so that its history can be checked.
const generation = 12 * time.Second

// Kinds of names, their first letter, and how many of each there are at a time.
const (
	plainNames = 12 // s: locked in all modes
	dirNames   = 3  // d: the name of a file that was created is their value
	wrongNames = 2  // w: said to be New though they are not
	guestNames = 4  // v: in a lockspace of their own, which nodes leave and come back to
)

func (r *run) nameOf(kind string, i int) string {
	return fmt.Sprintf("%s/%d.%d", kind, i, r.hist.now()/int64(generation))
}

// lossy says that claims of the name may be wrong, which makes its value not valid.
func (r *run) lossy(name string) bool { return strings.HasPrefix(name, "w/") }

// patience is how long a worker waits for a lock: sometimes hardly at all.
func (w *worker) patience() time.Duration {
	if w.rng.IntN(8) == 0 {
		return w.upTo(100 * time.Millisecond)
	}
	return 4 * w.cfg.Lease
}

func (w *worker) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

func (w *worker) chance(percent int) bool { return w.rng.IntN(100) < percent }

// work locks until ctx ends, and then gives up what it has.
func (w *worker) work(ctx context.Context) {
	for sleep(ctx, w.upTo(40*time.Millisecond)) {
		switch x := w.rng.IntN(100); {
		case x < 70:
			w.use(ctx, w.nameOf("s", w.rng.IntN(plainNames)))
		case x < 82:
			w.create(ctx)
		case x < 94:
			w.follow(ctx)
		default:
			w.claim(ctx)
		}
	}
}

// modes are drawn from, so that there are enough of those that exclude others.
var modes = []lockify.Mode{
	lockify.NL, lockify.CR, lockify.CW, lockify.PR, lockify.PR, lockify.PR, lockify.PW, lockify.PW, lockify.EX, lockify.EX, lockify.EX,
}

func (w *worker) anyMode() lockify.Mode { return modes[w.rng.IntN(len(modes))] }

// use locks a name, converts it some times, and unlocks.
func (w *worker) use(ctx context.Context, name string) {
	opts := []lockify.Option{lockify.ReadValue()}
	if w.chance(20) {
		opts = append(opts, lockify.NoQueue())
	}
	h := w.take(ctx, request{name: name, mode: w.anyMode()}, opts...)
	if h == nil {
		return
	}
	w.hold(ctx, h)
}

// hold does something with a lock and gives it up.
func (w *worker) hold(ctx context.Context, h *held) {
	for w.keep(ctx, h) && w.chance(40) && ctx.Err() == nil {
		mode, value := w.anyMode(), ""
		if exclusive(h.mode) && mode < h.mode && w.chance(80) {
			value = w.value()
		}
		var opts []lockify.Option
		if w.chance(30) {
			opts = append(opts, lockify.NoQueue())
		}
		if !h.turn(ctx, mode, value, opts...) {
			return
		}
	}
	value := ""
	if exclusive(h.mode) && w.chance(80) {
		value = w.value()
	}
	h.drop(value)
}

// keep holds a lock for a moment as a rule, and now and then so long that others
// have every reason to take it away.
func (w *worker) keep(ctx context.Context, h *held) bool {
	d := w.upTo(20 * time.Millisecond)
	if w.chance(1) {
		d = w.upTo(3 * w.cfg.Lease)
	}
	return h.keep(ctx, d)
}

// value makes a value that nobody else writes.
func (w *worker) value() string {
	w.made++
	return fmt.Sprintf("v%d.%d", w.lane, w.made)
}

// create makes a file, as a file system does: under the lock of its directory, which
// says then what it is called.
func (w *worker) create(ctx context.Context) {
	dir := w.take(ctx, request{name: w.nameOf("d", w.rng.IntN(dirNames)), mode: lockify.EX}, lockify.ReadValue())
	if dir == nil {
		return
	}
	w.made++
	name := fmt.Sprintf("f/%d.%d", w.lane, w.made)
	file := w.take(ctx, request{name, lockify.EX, true, func() { dir.drop(name) }}, lockify.ReadValue())
	if file != nil {
		w.hold(ctx, file)
	}
}

// follow looks up a directory and locks the file that it finds there.
func (w *worker) follow(ctx context.Context) {
	dir := w.take(ctx, request{name: w.nameOf("d", w.rng.IntN(dirNames)), mode: lockify.PR}, lockify.ReadValue())
	if dir == nil {
		return
	}
	name, ok := dir.l.Value()
	dir.drop("")
	if ok {
		w.use(ctx, strings.TrimRight(string(name), "\x00"))
	}
}

// claim says of a name that it is new, which it seldom is.
func (w *worker) claim(ctx context.Context) {
	q := request{name: w.nameOf("w", w.rng.IntN(wrongNames)), mode: w.anyMode(), claim: w.chance(40)}
	if h := w.take(ctx, q); h != nil {
		h.keep(ctx, w.upTo(20*time.Millisecond))
		h.drop("")
	}
}

// visit opens a lockspace that nobody else on its node has open, locks some names, closes it, and stays
// away for so long, as a rule, that the node leaves it, too.
func (w *worker) visit(ctx context.Context) {
	for sleep(ctx, w.upTo(4*time.Second)) {
		space, err := w.client.Open(ctx, "visited")
		if err != nil {
			w.failed(err)
			continue
		}
		w.space = space
		for range w.rng.IntN(20) {
			if h := w.take(ctx, request{name: w.nameOf("v", w.rng.IntN(guestNames)), mode: w.anyMode()}); h != nil {
				h.keep(ctx, w.upTo(20*time.Millisecond))
				h.drop("")
			}
		}
		if err := space.Close(ctx); err != nil {
			w.failed(err)
		}
	}
}

// anchor keeps an interest in all plain names of the time, so that their values are
// kept between two holders.
func (w *worker) anchor(ctx context.Context) {
	kept := map[string]*held{}
	for ctx.Err() == nil {
		names := map[string]bool{}
		for i := range plainNames {
			names[w.nameOf("s", i)] = true
		}
		for name, h := range kept {
			if !names[name] {
				h.drop("")
			}
			if !names[name] || !h.look() {
				delete(kept, name)
			}
		}
		for name := range names {
			if kept[name] == nil {
				if h := w.take(ctx, request{name: name, mode: lockify.NL}); h != nil {
					kept[name] = h
				}
			}
		}
		sleep(ctx, lookEvery)
	}
	for _, h := range kept {
		h.drop("")
	}
}
