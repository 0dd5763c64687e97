package engine

import "sync"

// gate lets goroutines wait for a change of something, along with a context:
//
//	for {
//		changed := g.wait()
//		if condition() { return nil }
//		select { case <-changed: case <-ctx.Done(): return ctx.Err() }
//	}
type gate struct {
	mu sync.Mutex
	ch chan struct{} // nil: nobody waits
}

// wait gives a channel that the next open closes.
func (g *gate) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	return g.ch
}

// open wakes all that wait.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch != nil {
		close(g.ch)
		g.ch = nil
	}
}
