package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestUpgradeFrom replaces the daemons of another version one after the other with ours,
// while clients go on. "make upgrade" builds that version and sets LOCKIFY_OLD.
func TestUpgradeFrom(t *testing.T) {
	old := os.Getenv("LOCKIFY_OLD")
	if old == "" {
		t.Skip("no LOCKIFY_OLD: a lockifyd of another version; make upgrade sets it")
	}
	c := daemontest.NewJoinedOf(t, old, 3, lease)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	var mu sync.Mutex
	moved := sync.NewCond(&mu)
	done := make([]int, len(c.Nodes))
	for i, d := range c.Nodes {
		all.Go(func() {
			cl, err := lockify.Dial(ctx, d.Client)
			if err != nil {
				t.Error(err)
				return
			}
			defer cl.Close()
			s, err := cl.Open(ctx, "storage", lockify.ValueSize(16))
			if err != nil {
				t.Error(err)
				return
			}
			for n := 0; ctx.Err() == nil; n++ {
				if once(ctx, s, fmt.Sprintf("%d made %d", i, n), fmt.Sprint("shared ", n%5)) {
					mu.Lock()
					done[i]++
					moved.Broadcast()
					mu.Unlock()
				}
			}
		})
	}
	progress := func() { // everybody gets on
		mu.Lock()
		defer mu.Unlock()
		for i, from := range append([]int(nil), done...) {
			for done[i] < from+50 && !t.Failed() {
				moved.Wait()
			}
		}
	}
	progress()
	for i, d := range c.Nodes {
		d.Signal(t, syscall.SIGTERM)
		if status := d.Wait(t); status != 0 {
			t.Errorf("the old daemon %d ends with status %d", i+1, status)
		}
		c.Restart(t, i)
		progress()
	}
	stop()
	all.Wait()
}

// once creates a name, and locks a shared one. false: the session ended meanwhile.
func once(ctx context.Context, s *lockify.Lockspace, made, shared string) bool {
	for _, f := range []func() (*lockify.Lock, error){
		func() (*lockify.Lock, error) { return s.Lock(ctx, made, lockify.EX, lockify.New()) },
		func() (*lockify.Lock, error) { return s.Lock(ctx, shared, lockify.EX) },
	} {
		l, err := f()
		if err != nil {
			return false
		}
		defer func() { _ = l.Unlock(ctx) }() // fails if the session has ended
	}
	return true
}
