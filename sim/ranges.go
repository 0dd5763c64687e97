package sim

import (
	"fmt"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is ranges of names that are delegated and given back under the
// programs.

// rangeKeys is how many ranges there are, where a profile has some.
const rangeKeys = 3

func rangeKey(i int) string { return fmt.Sprintf("k%d/", i) }

// rangeCall is a Delegate or Return.
type rangeCall struct {
	n        *node
	instance uint64
	key      string
	ends     int // outcomes so far
}

// complete takes the outcome of a call.
func (c *rangeCall) complete(r *run, done *lockspace.Completion) {
	c.ends++
	switch done.Status {
	case wire.OK:
		r.stats.Delegated++
	case wire.RangeTaken:
		r.stats.Taken++
	}
	r.tracef(nil, "node %d: range %q: %v", c.n.id, c.key, done.Status)
}

func chooseRange(r *run, _ *node, _ *lock, a *action) bool {
	if !r.p.Ranges || r.prog.IntN(8) != 0 {
		return false
	}
	a.name = rangeKey(r.prog.IntN(rangeKeys))
	return true
}

func doDelegate(r *run, n *node, _ *lock, a *action) {
	r.rangeCall(n, a.name, (*lockspace.Shard).Delegate)
}

func doReturn(r *run, n *node, _ *lock, a *action) { r.rangeCall(n, a.name, (*lockspace.Shard).Return) }

func (r *run) rangeCall(n *node, key string, f func(*lockspace.Shard, int64, []byte, any, uint64) wire.Status) {
	c := &rangeCall{n: n, instance: n.instance, key: key}
	r.calls = append(r.calls, c)
	closed := n.closed
	b := []byte(key)
	route := r.rule.Route(b, lockspace.Hash(b))
	if st := f(n.shards[lockspace.ShardOf(route, len(n.shards))], n.now(), b, c, 9); st != wire.OK {
		c.ends = 1
	}
	r.spoil(b)
	n.after(closed)
}

// directoryOf gives the node that has the directory of a name: the owner of
// its range, or the directory node of its key.
func (r *run) directoryOf(nm *name) *node {
	n := r.nodes[r.view.Directory(nm.route)-1]
	if r.rule == 0 {
		return n
	}
	owner := n
	key := string(r.rule.Key(nm.bytes))
	n.shardOf(nm).Ranges(func(i lockspace.RangeInfo) bool {
		if string(i.Key) == key && i.State == "lent" {
			owner = r.nodes[i.Owner-1]
		}
		return true
	})
	return owner
}

// endRanges has all ranges given back.
func (r *run) endRanges() {
	for _, n := range r.nodes {
		for i := 0; i < rangeKeys && n.takesPart(); i++ {
			r.rangeCall(n, rangeKey(i), (*lockspace.Shard).Return)
			r.stepped()
		}
	}
	r.rest()
}

// rangesEnded says that each call has had its one outcome.
func (c *work) rangesEnded() {
	for _, k := range c.r.calls {
		if k.n.instance != k.instance || k.n.down {
			continue
		}
		c.r.evals[inOnce]++
		if k.ends != 1 {
			c.r.fail(inOnce, nil, "range %q: %d outcomes of a call of node %d", k.key, k.ends, k.n.id)
		}
	}
}
