package blockdev

import (
	"slices"
	"sync/atomic"
	"time"
)

// faultBackend passes requests on to a ring of the inner device.
type faultBackend struct {
	f      *Fault
	inner  *Ring
	notify func()
	armed  atomic.Bool
	wake   chan struct{}

	late    []lateRequest // written under f.mu
	outcome []outcome     // by tag, of what the inner ring has
	done    []Done
}

// lateRequest waits for its time, and for a release if its rule says so.
type lateRequest struct {
	q        *Request
	rule     Rule
	at       time.Time
	releases int // of Fault, when it came
	crashes  int
}

// outcome says what to make of the end of a request.
type outcome struct {
	q          *Request
	status     Status // in place of success
	generation int    // Flush: what it makes durable
}

func (b *faultBackend) Submit(batch []*Request) {
	f := b.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range batch {
		rule := f.decide(&q.SQE)
		if rule.Delay > 0 || rule.Hold {
			b.late = append(b.late, lateRequest{q, rule, time.Now().Add(rule.Delay), f.releases, f.crashes})
			continue
		}
		b.pass(q, &rule)
	}
	b.submit()
}

// submit hands on what pass has prepared. Only a closed ring refuses, and the inner
// ring is open as long as the outer one.
func (b *faultBackend) submit() {
	if _, err := b.inner.Submit(); err != nil {
		panic(err)
	}
}

// pass does to q what rule says, when it has waited enough.
func (b *faultBackend) pass(q *Request, rule *Rule) {
	torn := rule.Torn > 0 && q.Op == Write && int64(rule.Torn) < q.Length
	switch {
	case torn:
	case rule.Status != OK:
		b.done = append(b.done, Done{Tag: q.Tag, Status: rule.Status})
		return
	case rule.Lost:
		b.done = append(b.done, Done{Tag: q.Tag, N: q.Length})
		return
	}
	s := q.SQE
	s.Gate = nil // it has been asked
	s.Flags &= FUA
	s.Deadline, s.UserData = 0, uint64(q.Tag)
	o := outcome{q: q}
	if torn {
		if o.status = rule.Status; o.status == OK {
			o.status = StatusWriteFault
		}
		s.Buf, s.Bufs = nil, prefix(&q.SQE, rule.Torn/b.f.info.BlockSize*b.f.info.BlockSize)
		if len(s.Bufs) == 0 {
			b.done = append(b.done, Done{Tag: q.Tag, Status: o.status})
			return
		}
	}
	if c := b.f.cache; c != nil {
		if err := c.before(&q.SQE); err != nil {
			b.done = append(b.done, Done{Tag: q.Tag, Status: StatusInternal})
			return
		}
		o.generation = c.newest()
		if q.Op == Flush {
			c.split()
		}
	}
	b.outcome[q.Tag] = o
	*b.inner.GetSQE() = s
}

// prefix gives the first n bytes of the buffers of s.
func prefix(s *SQE, n int) (out [][]byte) {
	var one [1][]byte
	for _, buf := range s.Vector(&one) {
		k := min(n, len(buf))
		if k == 0 {
			break
		}
		out = append(out, buf[:k])
		n -= k
	}
	return out
}

func (b *faultBackend) Poll(done []Done) int {
	b.collect()
	n := copy(done, b.done)
	b.done = b.done[:copy(b.done, b.done[n:])]
	return n
}

// collect passes on what has waited enough, and takes what the inner ring has.
func (b *faultBackend) collect() {
	f := b.f
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(b.late) > 0 {
		now := time.Now()
		b.late = slices.DeleteFunc(b.late, func(l lateRequest) bool {
			switch {
			case f.crashes > l.crashes:
				b.done = append(b.done, Done{Tag: l.q.Tag, Status: StatusLost})
			case l.rule.Hold && f.releases == l.releases, now.Before(l.at):
				return false
			default:
				b.pass(l.q, &l.rule)
			}
			return true
		})
		b.submit()
	}
	for c, ok := b.inner.Peek(); ok; c, ok = b.inner.Peek() {
		tag := uint16(c.UserData)
		o := b.outcome[tag]
		if f.cache != nil {
			f.cache.after(c.Status, o.generation, &o.q.SQE)
		}
		if c.Status == OK && o.status != OK {
			c.Status = o.status
		}
		b.done = append(b.done, Done{Tag: tag, Status: c.Status, N: c.N})
	}
}
