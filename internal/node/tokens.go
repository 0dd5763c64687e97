package node

import (
	"context"
	"math"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
)

const (
	// tokensLow is when a lockspace should get a new view: an epoch has 1<<40 tokens,
	// and at a million grants a second this is enough for three days.
	tokensLow = 1 << 38
	// tokensEvery is how often that is looked at, in ticks: once a minute.
	tokensEvery = int(time.Minute / tickTime)
	tokensTime  = 10 * time.Second // for the others to agree
)

// renewTokens asks for a new view of the lockspaces whose tokens are near their end.
func (n *Node) renewTokens() {
	m := n.Membership()
	if m == nil {
		return
	}
	for _, s := range n.Spaces() {
		left := uint64(math.MaxUint64)
		for _, r := range s.runners {
			r.wait(func(r *runner) { left = min(left, r.shard.Stats().TokensLeft) })
		}
		if !s.isOpen() || left >= tokensLow || !s.renewing.CompareAndSwap(false, true) {
			continue
		}
		go func() {
			defer s.renewing.Store(false)
			ctx, cancel := context.WithTimeout(context.Background(), tokensTime)
			defer cancel()
			if err := m.Do(ctx, cluster.Command{Kind: cluster.NewView, Space: s.name}); err != nil {
				n.cfg.Logger.Warn("no new view for a lockspace whose tokens are near their end", "lockspace", s.name, "left", left, "err", err)
			}
		}()
	}
}
