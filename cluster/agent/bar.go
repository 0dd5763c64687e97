package agent

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// barAgain is the pause before a bar that has failed is tried again.
const barAgain = time.Second

// bar keeps an instance from what the members share, and tries for as long as this voter
// wants it.
func (a *Agent) bar(instance uint64) {
	log := a.cfg.Logger.With("node", cluster.NodeOf(instance), "instance", fmt.Sprintf("%#x", instance))
	log.Warn("keeping a node from the disks whose end has come")
	for again := true; again; {
		err := a.cfg.Bar(a.ctx, instance)
		if err != nil && a.ctx.Err() == nil {
			log.Error("the node could not be kept from the disks, so that what it held is not free; trying again", "err", err)
		}
		if err == nil {
			log.Info("the node is kept from the disks")
		}
		again = false
		done := a.do(a.ctx, func() {
			switch {
			case err == nil && a.server != nil:
				a.sent(a.server.BarDone(engine.BootTime(), instance))
			case a.server != nil && a.server.Bars(instance):
				a.bars[instance], again = err.Error(), true
				return
			}
			delete(a.bars, instance)
		})
		if done != nil || !again {
			return
		}
		select {
		case <-a.ctx.Done():
			return
		case <-time.After(barAgain):
		}
	}
}

// Bars gives the instances that this voter, as the leader, keeps from what the members
// share, and for each why that has failed so far, "": it is being tried.
func (a *Agent) Bars() (bars map[uint64]string) {
	_ = a.do(context.Background(), func() { bars = maps.Clone(a.bars) })
	return bars
}
