package recipes

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

// TestCacheWithdrawn: whoever gives up waiting to write, while his lock has let another one write
// first, does not leave behind a lock under which others of his program read what was before.
func TestCacheWithdrawn(t *testing.T) {
	list, _ := spaces(t)
	d := &disk{content: map[string]int{}}
	a, b := d.program(list[0], 0), d.program(list[1], 0)
	var written, writing atomic.Int32
	change := func(p *program, ctx context.Context) {
		u, err := p.Lock(ctx, "name")
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
		writing.Add(1)
		p.kept.set("name", p.kept.get("name")+1)
		written.Add(1)
		writing.Add(-1)
		if err := u.Unlock(); err != nil {
			t.Error(err)
		}
	}
	read := func(p *program) {
		u, err := p.RLock(testContext(t), "name")
		if err != nil {
			t.Error(err)
			return
		}
		if got, want := p.kept.get("name"), int(written.Load()); got != want || writing.Load() != 0 {
			t.Errorf("read %d, want %d; %d write", got, want, writing.Load())
		}
		if err := u.Unlock(); err != nil {
			t.Error(err)
		}
	}
	for range 300 {
		var wg sync.WaitGroup
		for _, p := range []*program{a, b} {
			read(p)
			ctx, cancel := context.WithCancel(testContext(t))
			wg.Go(func() { change(p, ctx) })
			wg.Go(func() { change(p, testContext(t)) })
			for range 3 {
				wg.Go(func() { read(p) })
			}
			wg.Go(cancel)
		}
		wg.Wait()
	}
	for _, p := range []*program{a, b} {
		if err := p.Close(testContext(t)); err != nil {
			t.Error(err)
		}
	}
	if got, want := d.get("name"), int(written.Load()); got != want {
		t.Errorf("%d changes, want %d", got, want)
	}
}
