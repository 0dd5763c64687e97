package security

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/steady"
)

const (
	victims  = 4                    // with a session each
	pace     = 4 * time.Millisecond // from one lock of a victim to the next, whatever the last one does
	maxAtOne = 500                  // locks of a victim under way
)

// crowd is all victims.
type crowd struct {
	clients []*lockify.Client
	spaces  []*lockify.Lockspace
}

func newCrowd(ctx context.Context, o order) (*crowd, error) {
	c := &crowd{}
	for range victims {
		client, err := lockify.Dial(ctx, o.Unix, lockify.OneSession())
		if err != nil {
			return c, err
		}
		c.clients = append(c.clients, client)
		space, err := client.Open(ctx, "victim")
		if err != nil {
			return c, err
		}
		c.spaces = append(c.spaces, space)
	}
	return c, nil
}

func (c *crowd) close() {
	for _, client := range c.clients {
		client.Close()
	}
}

// measure has each victim lock and unlock at its pace until done is closed, and once in any
// case: on a busy machine done may be closed when they are about to begin.
func (c *crowd) measure(ctx context.Context, machine *steady.Watch, done <-chan struct{}) outcome {
	var all sync.WaitGroup
	begun := time.Now()
	waits := make([][]wait, len(c.spaces))
	errs := make([]error, len(c.spaces))
	for i := range c.spaces {
		all.Go(func() {
			select { // they do not come all at the same time
			case <-time.After(pace * time.Duration(i) / victims):
			case <-done:
			}
			waits[i], errs[i] = victim(ctx, c.spaces[i], i, done)
		})
	}
	all.Wait()
	slow := machine.Slow()
	out := outcome{Latencies: perf.NewHistogram(), Steady: perf.NewHistogram(), Time: time.Since(begun)}
	out.Slow = out.Time - slow.Without(begun, begun.Add(out.Time))
	for _, w := range slices.Concat(waits...) {
		out.Latencies.Record(w.to.Sub(w.from))
		if !slow.In(w.from) {
			out.Steady.Record(slow.Without(w.from, w.to))
		}
	}
	if err := errors.Join(errs...); err != nil {
		out.Failed = err.Error()
	}
	return out
}

// wait is how long a victim waited for a lock.
type wait struct{ from, to time.Time }

// victim locks and unlocks at its pace. How long a lock takes has no say in when the next one
// begins: else a wait would be measured once, and spare the others that fall into it.
func victim(ctx context.Context, space *lockify.Lockspace, who int, done <-chan struct{}) (waits []wait, failed error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, maxAtOne)
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		if i > 0 {
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
		select {
		case room <- struct{}{}:
		default:
			mu.Lock()
			failed = fmt.Errorf("the victim: %d locks are not answered", maxAtOne)
			mu.Unlock()
			return
		}
		all.Go(func() {
			begin := time.Now()
			l, err := space.Lock(ctx, strconv.Itoa(who)+" "+strconv.Itoa(i%maxAtOne), lockify.EX)
			end := time.Now()
			if err == nil {
				err = l.Unlock(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = fmt.Errorf("the victim: %w", err)
				return
			}
			waits = append(waits, wait{begin, end})
			<-room
		})
	}
}
