package recovery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/perf/steady"
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

// program locks and unlocks a name again and again. It is a session's callbacks, not a
// goroutine: what is measured is not to wait for this program's own scheduler.
type program struct {
	space *lockify.Lockspace
	name  string

	mu    sync.Mutex
	busy  bool
	begun time.Time // the operation that is under way
	spans []span
	err   error
}

// span is a lock and its unlock.
type span struct{ from, to time.Time }

// once begins it, unless the last one has not ended: that is part of the same pause.
func (p *program) once() {
	p.mu.Lock()
	if p.busy || p.err != nil {
		p.mu.Unlock()
		return
	}
	p.busy, p.begun = true, time.Now()
	p.mu.Unlock()
	p.space.LockAsync(p.name, lockify.EX, func(l *lockify.Lock, err error) {
		if err != nil {
			p.end(fmt.Errorf("%q: %w", p.name, err))
			return
		}
		l.UnlockAsync(func(err error) {
			if err != nil {
				err = fmt.Errorf("%q: unlock: %w", p.name, err)
			}
			p.end(err)
		})
	})
}

func (p *program) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy, p.err = false, err
	p.spans = append(p.spans, span{p.begun, time.Now()})
}

// ended says that nothing of p is under way.
func (p *program) ended() (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.busy, p.err
}

// programEvery is how often a program does so. Of some fifty programs one begins each
// millisecond: together they notice every pause of more than that, and are not what the
// processors are busy with.
const programEvery = 50 * time.Millisecond

// programs run until they are stopped: one goroutine begins what each does, in turn.
type programs struct {
	list   []*program
	cancel chan struct{}
	wg     sync.WaitGroup
}

func start(list []*program) *programs {
	ps := &programs{list: list, cancel: make(chan struct{})}
	ps.wg.Go(ps.run)
	return ps
}

func (ps *programs) run() {
	step := programEvery / time.Duration(len(ps.list))
	due := time.Now()
	turn := time.NewTimer(0)
	defer turn.Stop()
	for i := 0; ; i++ {
		select {
		case <-ps.cancel:
			return
		case <-turn.C:
		}
		ps.list[i%len(ps.list)].once()
		due = due.Add(step)
		if now := time.Now(); due.Before(now) { // not all at once: they would wait for each other
			due = now
		}
		turn.Reset(time.Until(due))
	}
}

// stop ends them when their operations have ended.
func (ps *programs) stop(ctx context.Context) error {
	close(ps.cancel)
	ps.wg.Wait()
	return until(ctx, func() (bool, error) {
		for _, p := range ps.list {
			if ok, err := p.ended(); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// begin forgets what has been.
func (ps *programs) begin() {
	for _, p := range ps.list {
		p.mu.Lock()
		p.spans = nil
		p.mu.Unlock()
	}
}

// pause gives the programs' longest operations; of each only what comes after since
// counts, and not what slow has of it.
func (ps *programs) pause(since time.Time, slow steady.Times) Pause {
	var all []float64
	for _, p := range ps.list {
		var worst time.Duration
		p.mu.Lock()
		for _, s := range p.spans {
			from := s.from
			if from.Before(since) {
				from = since
			}
			worst = max(worst, slow.Without(from, s.to))
		}
		p.mu.Unlock()
		all = append(all, ms(worst))
	}
	slices.Sort(all)
	at := func(q float64) float64 { return all[min(len(all)-1, int(q*float64(len(all))))] }
	return Pause{P50: at(0.5), P99: at(0.99), Max: all[len(all)-1]}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
