package recovery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify"
)

// window is how many asynchronous operations are under way at most.
const window = 1024

// each begins n operations, in order, and returns when all have ended, with the first
// error.
func each(ctx context.Context, n int, begin func(i int, done func(error))) error {
	room := make(chan struct{}, window)
	failed := make(chan error, 1)
	for i := range n {
		select {
		case room <- struct{}{}:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		begin(i, func(err error) {
			if err != nil {
				select {
				case failed <- fmt.Errorf("lock %d: %w", i, err):
				default:
				}
			}
			<-room
		})
	}
	for range window {
		select {
		case room <- struct{}{}:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// program locks and unlocks a name again and again.
type program struct {
	space *lockify.Lockspace
	name  string
	worst atomic.Int64 // ns, the longest operation
}

// programEvery is how often a program does so: together they are to notice every pause,
// and not to be what the processors are busy with.
const programEvery = 20 * time.Millisecond

// once does it. Of the operation only what comes after since counts.
func (p *program) once(ctx context.Context, since *atomic.Pointer[time.Time]) error {
	start := time.Now()
	l, err := p.space.Lock(ctx, p.name, lockify.EX)
	if err != nil {
		return fmt.Errorf("%q: %w", p.name, err)
	}
	if err := l.Unlock(ctx); err != nil {
		return fmt.Errorf("%q: unlock: %w", p.name, err)
	}
	if t := since.Load(); t != nil && t.After(start) {
		start = *t
	}
	p.worst.Store(max(p.worst.Load(), int64(time.Since(start))))
	return nil
}

// programs run until they are stopped.
type programs struct {
	list   []*program
	since  atomic.Pointer[time.Time] // what comes before does not count
	cancel chan struct{}
	wg     sync.WaitGroup
	failed atomic.Pointer[error]
}

func start(ctx context.Context, list []*program) *programs {
	ps := &programs{list: list, cancel: make(chan struct{})}
	for i, p := range list {
		ps.wg.Go(func() {
			// Not all at once: they would measure how they wait for each other.
			turn := time.NewTimer(programEvery * time.Duration(i) / time.Duration(len(list)))
			select {
			case <-ps.cancel:
			case <-turn.C:
			}
			tick := time.NewTicker(programEvery)
			defer tick.Stop()
			for {
				select {
				case <-ps.cancel:
					return
				case <-tick.C:
				}
				if err := p.once(ctx, &ps.since); err != nil {
					ps.failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	return ps
}

// stop ends them when their operations have ended.
func (ps *programs) stop() error {
	close(ps.cancel)
	ps.wg.Wait()
	if err := ps.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// pause gives the programs' longest operations, and begins anew.
func (ps *programs) pause() Pause {
	var all []float64
	for _, p := range ps.list {
		all = append(all, float64(p.worst.Swap(0))/1e6)
	}
	slices.Sort(all)
	at := func(q float64) float64 { return all[min(len(all)-1, int(q*float64(len(all))))] }
	return Pause{P50: at(0.5), P99: at(0.99), Max: all[len(all)-1]}
}
