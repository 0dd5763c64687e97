package node

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// TestRollingUpgrade replaces the nodes of a cluster one after the other, from a version
// without claims to one that has them, while programs create names and lock shared ones.
// Claims are made only towards directory nodes that understand them.
func TestRollingUpgrade(t *testing.T) {
	w := &world{t: t, net: engine.NewPlain(), nodes: map[uint16]*Node{}, props: Props{ValueLen: 16}, olds: map[uint16]bool{1: true, 2: true, 3: true}}
	for id := uint16(1); id <= 3; id++ {
		w.start(id)
	}
	w.view()
	claims := func() (made uint64) {
		for _, n := range w.nodes {
			for _, s := range n.Stats().Spaces {
				for _, shard := range s.Shards {
					made += shard.ClaimsMade
				}
			}
		}
		return made
	}
	work(t, w, "old")
	if n := claims(); n > 0 {
		t.Errorf("%d claims among old nodes", n)
	}
	for id := uint16(1); id <= 3; id++ {
		w.crash(id)
		w.view()
		w.olds[id] = false
		w.start(id)
		w.view()
		work(t, w, fmt.Sprint("upgraded to ", id))
	}
	if claims() == 0 {
		t.Error("no claims among new nodes")
	}
}

// work creates names on all nodes, and lets all of them want the same ones.
func work(t *testing.T, w *world, prefix string) {
	t.Helper()
	var holders [10]atomic.Int32
	var all sync.WaitGroup
	for id, n := range w.nodes {
		all.Go(func() {
			s := n.byID.Load()
			space := (*s)[wire.SpaceID("space")]
			l := make(listener, 10)
			for i := range 100 {
				lock := space.Lock(l, fmt.Appendf(nil, "%s, %d, %d", prefix, id, i), lockspace.EX, lockspace.NewName, 0, 0, 1)
				if o := hear(t, l); o.status != wire.OK {
					t.Errorf("node %d creates: %+v", id, o)
				}
				shared := space.Lock(l, fmt.Appendf(nil, "shared %d", i%len(holders)), lockspace.EX, 0, 0, 0, 2)
				if o := hear(t, l); o.status != wire.OK {
					t.Errorf("node %d: %+v", id, o)
				}
				if n := holders[i%len(holders)].Add(1); n != 1 {
					t.Errorf("%d holders", n)
				}
				holders[i%len(holders)].Add(-1)
				for _, id := range []uint64{shared, lock} {
					space.Unlock(l, id, 0, nil, 3)
					hear(t, l)
				}
			}
		})
	}
	all.Wait()
}
