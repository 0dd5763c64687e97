package recipes

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify"
)

// cached is a name in a Cache, with its lock:
//
//	       ask: Lock            ask: Convert
//	NL ----------------> PR  ----------------> EX
//	   <----------------     <---------------
//	        lower                 lower          (from EX to NL as well)
//
// Up it goes when who waits first needs it, on his goroutine; down when another program
// wants it, when there are too many names, at Close, and when it is lost. All but name, cache and
// part is guarded by part.mu, which is not held while the cluster is asked: busy is set then, and only
// the queue and blocked change.
type cached struct {
	cache *Cache
	part  *cachePart
	name  string
	place int // in part.list

	lock    *lockify.Lock // nil: none
	mode    lockify.Mode  // of the lock: NL, PR or EX
	users   int           // who have it: readers, or -1: somebody who writes
	busy    bool          // somebody asks for the lock or lowers it
	unread  bool          // Fetch has failed
	unsure  bool          // a conversion was withdrawn: the lock may be in another mode, and others may have had it
	recent  bool          // used since the hand went by
	goes    bool          // told to make room
	spare   bool          // counted in part.spare
	queue   []*waiter     // in the order in which they came
	turns   int           // so many of the queue go before another program that wants the lock
	blocked struct {      // who wants the lock
		lock *lockify.Lock // in whose way it is; another one's than the present one's counts no more
		to   lockify.Mode  // what does not bother them
	}
}

// waiter is a goroutine that waits for a name.
type waiter struct {
	mode    lockify.Mode
	created bool
	has     bool          // it is in; guarded by the part's mutex
	wake    chan struct{} // holds one: look again
}

func (w *waiter) rouse() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// wait puts w into the queue, and does what is to be done for it when it is the first.
// part.mu is held, but not all the time.
func (e *cached) wait(ctx context.Context, w *waiter) (Use, error) {
	e.queue = append(e.queue, w)
	e.serve()
	for !w.has {
		var err error
		if e.asks() == w {
			err = e.ask(ctx, w)
		} else {
			e.part.mu.Unlock()
			select {
			case <-w.wake:
			case <-ctx.Done():
				err = fmt.Errorf("recipes: cache: %q: %w", e.name, ctx.Err())
			}
			e.part.mu.Lock()
		}
		if err != nil && !w.has {
			e.leave(w)
			e.serve()
			return Use{}, err
		}
		e.serve()
	}
	return Use{e, e.lock, w.mode}, nil
}

// leave takes w out of the queue, and with it its turn.
func (e *cached) leave(w *waiter) {
	for i, x := range e.queue {
		if x == w {
			e.queue = append(e.queue[:i], e.queue[i+1:]...)
			if i < e.turns {
				e.turns--
			}
			return
		}
	}
}

// serve does what can be done now: lets in who waits, has the lock go down, or wakes who
// has to ask the cluster. It is called behind each change.
func (e *cached) serve() {
	if e.busy {
		return
	}
	for len(e.queue) > 0 && e.fits(e.queue[0].mode) && (!e.due() || e.turns > 0 && e.sound()) {
		w := e.queue[0]
		e.leave(w)
		e.enter(w.mode)
		w.has = true
		w.rouse()
	}
	switch {
	case e.lock == nil && len(e.queue) == 0:
		e.part.remove(e)
	case e.lock != nil && e.mayLower():
		e.busy = true
		go e.lower(e.target())
	default:
		if w := e.asks(); w != nil {
			w.rouse()
		}
	}
	e.count()
}

// idle says that nothing goes on with a name that is locked.
func (e *cached) idle() bool {
	return e.lock != nil && !e.busy && e.users == 0 && len(e.queue) == 0
}

// count keeps part.spare right; it is called behind each change of what idle looks at.
func (e *cached) count() {
	is := e.idle()
	switch {
	case is && !e.spare:
		e.part.spare++
	case !is && e.spare:
		e.part.spare--
	}
	e.spare = is
}

// fits says that somebody may have the name in this mode with the lock that is there, and
// beside those who have it.
func (e *cached) fits(mode lockify.Mode) bool {
	return !e.busy && e.mode >= mode && (e.users == 0 || e.users > 0 && mode == lockify.PR)
}

// sound says that what the lock protects is as it was read.
func (e *cached) sound() bool { return !e.unread && !e.unsure && e.lock.Valid() }

// enter counts somebody in.
func (e *cached) enter(mode lockify.Mode) Use {
	if mode == lockify.EX {
		e.users = -1
	} else {
		e.users++
	}
	e.recent = true
	return Use{e, e.lock, mode}
}

// want notes that lock bothers somebody unless it is in mode to or below.
func (e *cached) want(lock *lockify.Lock, to lockify.Mode) {
	if e.blocked.lock == lock {
		to = min(to, e.blocked.to)
	}
	e.blocked.lock, e.blocked.to = lock, to
}

// target gives the mode that the lock should be in or below.
func (e *cached) target() lockify.Mode {
	if e.lock != nil && !e.lock.Valid() {
		return lockify.NL
	}
	return e.wanted()
}

// wanted is target for a lock that is not lost.
func (e *cached) wanted() lockify.Mode {
	switch {
	case e.lock == nil:
		return lockify.EX
	case e.unread, e.unsure, e.cache.closed.Load() && len(e.queue) == 0:
		return lockify.NL
	case e.blocked.lock == e.lock:
		return e.blocked.to
	}
	return lockify.EX
}

// due says that the lock should go down.
func (e *cached) due() bool { return e.mode > e.target() }

// mayLower says that the lock should go down, and that nobody has the name in a way that
// hinders it. Who waits and has a turn has been let in, or does not fit.
func (e *cached) mayLower() bool {
	return e.due() && (e.users == 0 || e.users > 0 && e.target() == lockify.PR)
}

// asks gives who has to ask the cluster now; nil: nobody.
func (e *cached) asks() *waiter {
	if e.busy || e.users != 0 || len(e.queue) == 0 || e.due() || e.mode >= e.queue[0].mode {
		return nil
	}
	return e.queue[0]
}

// ask has the cluster give the mode that w needs. part.mu is let go meanwhile.
func (e *cached) ask(ctx context.Context, w *waiter) error {
	e.busy = true
	e.part.mu.Unlock()
	lock, err := e.lock, error(nil)
	fresh := lock == nil
	if fresh {
		lock, err = e.cache.space.Lock(ctx, e.name, w.mode, e.options(w)...)
	} else {
		// Who else reads and wants to write is in the way of this one, and this one of him: one
		// of both lets the other one go first.
		err = lock.Convert(ctx, w.mode, lockify.ReadValue(), lockify.DemoteOnDeadlock())
		fresh = lock.Demoted()
	}
	granted := err == nil
	if granted && fresh && e.cache.cfg.Fetch != nil {
		err = e.cache.cfg.Fetch(ctx, lock)
	}
	e.part.mu.Lock()
	e.busy = false
	switch {
	case granted:
		e.lock, e.mode, e.unread, e.turns = lock, w.mode, err != nil, len(e.queue)
	case e.lock != nil:
		// It may be under way still, and let another one go first.
		e.unsure = true
	}
	return err
}

func (e *cached) options(w *waiter) []lockify.Option {
	opts := []lockify.Option{lockify.ReadValue(), lockify.OnBlocking(e.blocking)}
	if w.created {
		opts = append(opts, lockify.New())
	}
	return opts
}

// blocking is told that the lock is in somebody's way.
func (e *cached) blocking(lock *lockify.Lock, wanted lockify.Mode) {
	to := lockify.NL
	if wanted == lockify.CR || wanted == lockify.PR {
		to = lockify.PR
	}
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	e.want(lock, to)
	if e.lock == lock {
		e.serve()
	}
}

// lower takes the lock down. busy is set, and part.mu not held.
func (e *cached) lower(to lockify.Mode) {
	ctx, lock, opts := context.Background(), e.lock, []lockify.Option(nil)
	if e.unsure {
		_ = lock.Convert(ctx, lockify.NL) // so Flush does not take it for one that was held all the time; with an error it is lost
	}
	if flush := e.cache.cfg.Flush; flush != nil && !e.unread {
		if value := flush(lock, to); value != nil && e.mode == lockify.EX && !e.unsure {
			opts = append(opts, lockify.WithValue(value))
		}
	}
	var err error
	if to == lockify.NL {
		err = lock.Unlock(ctx, opts...)
	} else {
		err = lock.Convert(ctx, to, opts...)
	}
	if errors.Is(err, lockify.ErrValue) {
		panic(fmt.Sprintf("recipes: cache: what Flush gave for %q: %v", e.name, err))
	}
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	e.busy = false
	if e.goes {
		e.goes = false
		e.part.going--
		defer e.part.shrink(e.cache.most) // should somebody have come for it
	}
	switch {
	case to == lockify.NL: // if with an error, it was lost
		e.lock, e.mode, e.unread, e.unsure = nil, lockify.NL, false, false
	case err != nil:
		e.unsure = true
	default:
		e.mode = to
		if e.blocked.to == to {
			e.blocked.lock = nil
		}
	}
	e.serve()
}

// Use is the use of a name by one goroutine, from Lock, RLock or Create until Unlock. It may be copied.
type Use struct {
	name *cached
	lock *lockify.Lock
	mode lockify.Mode
}

// Unlock ends the use; the lock is kept. It waits for nobody. The error lockify.ErrLost says that the lock was
// lost before: what was done under it may have met what another holder did. It must be
// called once; lockify.ErrNotHeld if nobody has the name in this mode.
func (u Use) Unlock() error {
	e := u.name
	if e == nil {
		return fmt.Errorf("recipes: a use of no name: %w", lockify.ErrNotHeld)
	}
	e.part.mu.Lock()
	defer e.part.mu.Unlock()
	switch {
	case e.lock != u.lock, u.mode == lockify.EX && e.users != -1, u.mode == lockify.PR && e.users <= 0:
		return fmt.Errorf("recipes: use of %q: %w", e.name, lockify.ErrNotHeld)
	case u.mode == lockify.EX:
		e.users = 0
	default:
		e.users--
	}
	e.count()
	lost := !u.lock.Valid()
	if lost || len(e.queue) > 0 || e.mode > e.wanted() {
		e.serve()
	}
	if lost {
		return fmt.Errorf("recipes: use of %q: %w", e.name, lockify.ErrLost)
	}
	return nil
}

// Valid says that the lock is not lost, as far as can be known now (lockify.Lock.Valid).
func (u Use) Valid() bool { return u.lock.Valid() }

// Lost is closed when the lock is lost: stop using what it protects, and call Unlock.
func (u Use) Lost() <-chan struct{} { return u.lock.Lost() }

// Token gives the fencing token of the lock (lockify.Lock.Token). While the lock is kept it stays the same.
func (u Use) Token() uint64 { return u.lock.Token() }

// Value gives the value block that came with the lock (lockify.Lock.Value), which is as
// it was when the cluster granted it.
func (u Use) Value() (value []byte, ok bool) { return u.lock.Value() }
