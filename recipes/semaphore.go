package recipes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/lockify-dlm/lockify"
)

// Semaphore has a number of permits. Each is a lock on a name of its own, so a permit comes
// back when whoever has it dies.
type Semaphore struct {
	space   *lockify.Lockspace
	name    string
	permits int
}

// MaxPermits is how many permits a Semaphore has at most: whoever waits, waits for each.
const MaxPermits = 1024

// maxName is the longest name of a lock, in bytes.
const maxName = 64

// NewSemaphore gives a semaphore with 1 to MaxPermits permits. All programs must give it
// the same number. It asks nobody. Error: lockify.ErrInvalid, ErrName where the name leaves
// no room for the permits' numbers.
func NewSemaphore(space *lockify.Lockspace, name string, permits int) (*Semaphore, error) {
	if permits < 1 || permits > MaxPermits {
		return nil, fmt.Errorf("%w: semaphore %q with %d permits: want 1 to %d", lockify.ErrInvalid, name, permits, MaxPermits)
	}
	s := &Semaphore{space, name, permits}
	if last := s.permit(permits - 1); name == "" || len(last) > maxName {
		return nil, fmt.Errorf("%w: that of a semaphore with %d permits has %d bytes, must be 1 to %d", lockify.ErrName, permits, len(name), maxName-len(last)+len(name))
	}
	return s, nil
}

func (s *Semaphore) permit(i int) string { return s.name + "/" + strconv.Itoa(i) }

// TryAcquire takes a permit if one is free: lockify.ErrWouldBlock if not. The permit is
// given back with Unlock, and can be lost as any lock.
func (s *Semaphore) TryAcquire(ctx context.Context) (*lockify.Lock, error) {
	first := rand.IntN(s.permits) // else all would try the same ones in vain
	for i := range s.permits {
		lock, err := s.space.TryLock(ctx, s.permit((first+i)%s.permits), lockify.EX)
		if !errors.Is(err, lockify.ErrWouldBlock) {
			return lock, err
		}
	}
	return nil, fmt.Errorf("semaphore %q, %d permits: %w", s.name, s.permits, lockify.ErrWouldBlock)
}

// Acquire waits for a permit, in the order in which programs have come. It is given back
// with Unlock, and can be lost as any lock. It waits for callbacks of the lockspace's client
// or node, which come one at a time, and so must not be called in one (OnBlocking, what is
// given to LockAsync): there is TryAcquire. Errors are those of Lockspace.LockAsync, or that
// of ctx.
func (s *Semaphore) Acquire(ctx context.Context) (*lockify.Lock, error) {
	if lock, err := s.TryAcquire(ctx); !errors.Is(err, lockify.ErrWouldBlock) {
		return lock, err
	}
	q := &queued{outcomes: make(chan outcome, s.permits)}
	for i := range s.permits {
		lock := s.space.LockAsync(s.permit(i), lockify.EX, func(l *lockify.Lock, err error) { q.outcomes <- outcome{l, err} })
		q.locks = append(q.locks, lock)
	}
	lock, err := q.first(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("recipes: semaphore %q: %w", s.name, err)
	}
	return lock, err
}

// queued is a request for each permit.
type queued struct {
	locks    []*lockify.Lock
	outcomes chan outcome // has room for all
	ended    int
}

type outcome struct {
	lock *lockify.Lock
	err  error
}

// first waits for one of them, and takes back the others.
func (q *queued) first(ctx context.Context) (won *lockify.Lock, err error) {
	for won == nil && q.ended < len(q.locks) {
		select {
		case o := <-q.outcomes:
			q.ended++
			won, err = o.lock, o.err
			if o.err != nil {
				won = nil
			}
			continue
		case <-ctx.Done():
			err = ctx.Err()
		}
		break
	}
	for _, l := range q.locks {
		if l != nil && l != won {
			l.Cancel()
		}
	}
	go q.giveBack()
	return won, err
}

// giveBack unlocks what has been granted beside the first.
func (q *queued) giveBack() {
	for ; q.ended < len(q.locks); q.ended++ {
		if o := <-q.outcomes; o.err == nil {
			o.lock.UnlockAsync(func(error) {})
		}
	}
}
