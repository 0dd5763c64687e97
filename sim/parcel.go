package sim

import (
	"fmt"

	"github.com/lockify-dlm/lockify/cluster"
)

// This file is how messages of package cluster travel.

// parcel is a message of package cluster.
type parcel struct {
	from, to int // node ids
	payload  []byte
	instance uint64 // in place of a payload: whom a fence agent is to end
}

// park keeps a parcel until it arrives.
func (c *council) park(p parcel) int {
	if k := len(c.unused); k > 0 {
		i := c.unused[k-1]
		c.unused = c.unused[:k-1]
		c.parcels[i] = p
		return i
	}
	c.parcels = append(c.parcels, p)
	return len(c.parcels) - 1
}

func (c *council) unpark(i int) parcel {
	p := c.parcels[i]
	c.parcels[i] = parcel{}
	c.unused = append(c.unused, i)
	return p
}

// send puts messages on the network. What becomes of each follows from the seed and
// its place among those of the two nodes alone.
func (c *council) send(n *node, list []cluster.Message) {
	r := c.r
	for _, msg := range list {
		to := int(msg.To)
		if to == 0 {
			_, _ = fmt.Sscanf(msg.Addr, "n%d", &to)
		}
		if to < 1 || to > len(r.nodes) {
			r.fail(inMembers, nil, "node %d sends to nobody: %d %q", n.id, msg.To, msg.Addr)
			return
		}
		n.seat.sent[to]++
		h := mix(mix(r.cfg.Seed^uint64(n.id)<<32^uint64(to)<<40) + n.seat.sent[to])
		copies := 1
		switch {
		case to == int(n.id):
		case r.pair(int(n.id), to).upAt > r.now:
			continue
		case !c.calm && h%50 == 0:
			continue
		case !c.calm && h%50 == 1:
			copies = 2
		}
		for range copies {
			h = mix(h)
			i := c.park(parcel{from: int(n.id), to: to, payload: msg.Payload})
			r.timer0(timerParcel, i, c.delay(h, int(n.id) == to))
		}
	}
}

// delay is mostly short. h is random.
func (c *council) delay(h uint64, home bool) int64 {
	switch {
	case home:
		return us
	case !c.calm && h%20 == 0:
		return us + int64(h>>8%uint64(councilLease/2))
	}
	return 50*us + int64(h>>8%uint64(2*c.r.p.Delay))
}

// arrives hands a parcel over.
func (c *council) arrives(p *parcel) {
	n, from := c.r.nodes[p.to-1], c.r.nodes[p.from-1]
	s := n.seat
	c.r.mixIn(uint64(p.from)<<8 | uint64(p.to) | uint64(len(p.payload))<<16)
	switch {
	case s.member == nil:
	case s.stopped:
		s.inbox = append(s.inbox, *p)
	case !cluster.ForServer(p.payload):
		if !n.down {
			c.fromMember(n, s.member.Deliver(n.reading(), p.payload))
		}
	case s.server != nil:
		c.fromServer(n, func(now int64) (cluster.Output, error) {
			return s.server.Deliver(now, from.id, addr(from), p.payload)
		})
	case !n.down:
		c.send(n, s.member.Refer(n.reading(), from.id, addr(from), p.payload).Messages)
	}
}
