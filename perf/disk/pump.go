package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/perf"
)

// pump keeps a ring full of requests.
type pump struct {
	job   Job
	ring  *blockdev.Ring
	buf   []byte
	begun []time.Time // by slot: a part of buf
	free  []int
	next  int64 // of a sequence: offset
}

func newPump(ctx context.Context, dev blockdev.Device, o *order) (*pump, error) {
	p := &pump{job: o.Job, begun: make([]time.Time, o.Job.Depth), buf: blockdev.Alloc(o.Job.Bytes*o.Job.Depth, 4096)}
	for i := range p.begun {
		p.free = append(p.free, i)
	}
	for i := range p.buf {
		p.buf[i] = byte(i * 7)
	}
	spin := time.Duration(0)
	if o.Job.Spin {
		spin = o.Spin
	}
	ring, err := dev.NewRing(ctx, blockdev.RingConfig{Depth: o.Job.Depth, Spin: spin, Buffers: [][]byte{p.buf}})
	p.ring = ring
	return p, err
}

// run does requests for the time d.
func (p *pump) run(ctx context.Context, d time.Duration, h *perf.Histogram) error {
	now := time.Now()
	for end := now.Add(d); p.ring.Pending() > 0 || now.Before(end); {
		if now.Before(end) {
			p.fill(now)
		}
		if _, err := p.ring.Submit(); err != nil {
			return err
		}
		if err := p.ring.Wait(ctx, 1); err != nil {
			return err
		}
		now = time.Now()
		for c, ok := p.ring.Peek(); ok; c, ok = p.ring.Peek() {
			if c.Status != blockdev.OK {
				return fmt.Errorf("disk: %s: %w", p.job.Op, c.Status)
			}
			h.Record(now.Sub(p.begun[c.UserData]))
			p.free = append(p.free, int(c.UserData))
		}
	}
	return nil
}

func (p *pump) fill(now time.Time) {
	for _, slot := range p.free {
		s := p.ring.GetSQE()
		s.PrepRead(p.place(), p.buf[slot*p.job.Bytes:][:p.job.Bytes])
		if p.job.Op == "write" {
			s.Op = blockdev.Write
		}
		s.UserData = uint64(slot)
		p.begun[slot] = now
	}
	p.free = p.free[:0]
}

// place is where the next request goes: small ones anywhere, large ones in order.
func (p *pump) place() int64 {
	n, size := int64(p.job.Bytes), p.ring.Info().Size
	if n < largeBytes {
		return rand.Int64N(size/n) * n
	}
	at := p.next
	if p.next += n; p.next+n > size {
		p.next = 0
	}
	return at
}
