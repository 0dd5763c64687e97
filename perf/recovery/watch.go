package recovery

import (
	"context"
	"sync"

	"github.com/lockify-dlm/lockify/internal/admin"
)

// watch hears from the nodes that live when their recovery begins and ends. To ask for
// that again and again would take time of a processor that the programs want.
type watch struct {
	events chan *admin.EventLine
	failed chan error
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (s *scene) watch(ctx context.Context) *watch {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{events: make(chan *admin.EventLine, len(s.nodes)), failed: make(chan error, len(s.nodes)), cancel: cancel}
	filter := admin.EventFilter{Kinds: []string{"recovery-begin", "recovery-end"}, Lockspace: spaceName}
	for _, nd := range s.nodes[:s.live()] {
		w.wg.Go(func() {
			w.failed <- nd.admin.Events(ctx, filter, 0, true, func(e *admin.EventLine) error {
				select {
				case w.events <- e:
				case <-ctx.Done():
				}
				return ctx.Err()
			})
		})
	}
	return w
}

// next gives what a node tells next.
func (w *watch) next(ctx context.Context) (*admin.EventLine, error) {
	select {
	case e := <-w.events:
		return e, nil
	case err := <-w.failed:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (w *watch) stop() {
	w.cancel()
	w.wg.Wait()
}
