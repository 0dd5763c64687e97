package host

import (
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// maxANA bounds the bytes of the ANA log that this host reads.
const maxANA = 1 << 20

// anaSize is the bytes of a controller's ANA log, at most.
func anaSize(id *nvme.IdentifyController) int {
	names := id.MNAN
	if names == 0 {
		names = id.NN
	}
	n := nvme.ANAHeaderSize + nvme.ANAGroupSize*min(int64(id.NANAGRPID), maxANA) + 4*min(int64(names), maxANA)
	return int(min(n, maxANA))
}

// parseANA reads the ANA log: the state of each namespace.
func parseANA(page []byte) (map[uint32]nvme.ANAState, error) {
	var h nvme.ANAHeader
	if err := h.Decode(page); err != nil {
		return nil, err
	}
	states, at := map[uint32]nvme.ANAState{}, nvme.ANAHeaderSize
	for range h.Groups {
		var g nvme.ANAGroup
		if err := g.Decode(page[at:]); err != nil {
			return nil, err
		}
		at += g.Size()
		for i := range g.NSIDs.Len() {
			id := g.NSIDs.At(i)
			if _, twice := states[id]; twice {
				return nil, fmt.Errorf("%w: namespace %d is in two ANA groups", nvme.ErrField, id)
			}
			states[id] = g.State
		}
	}
	return states, nil
}

// ana is how well the controller reaches a namespace.
func (c *Controller) ana(nsid uint32) nvme.ANAState {
	if m := c.states.Load(); m != nil {
		if st, ok := (*m)[nsid]; ok {
			return st
		}
	}
	return nvme.ANAOptimized
}

// setANA notes the states and tells the rings.
func (c *Controller) setANA(states map[uint32]nvme.ANAState) {
	c.states.Store(&states)
	c.mu.Lock()
	c.info.ANA = states
	c.mu.Unlock()
	for _, q := range c.allRings() {
		q.tell(func(*news) {})
	}
}
