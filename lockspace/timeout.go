package lockspace

import "github.com/lockify-dlm/lockify/wire"

// This file is deadlines of requests, at the node that made them. Only what
// waits with a deadline has an entry here.

// timer is the deadline of a lock's running operation.
type timer struct {
	at    int64 // ns
	id    uint64
	place int // in the heap
}

// timerHeap has the earliest deadline first, and of equal ones the lower id.
type timerHeap []*timer

func (h timerHeap) less(i, k int) bool {
	a, b := h[i], h[k]
	return a.at < b.at || a.at == b.at && a.id < b.id
}

func (h timerHeap) swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].place, h[k].place = i, k
}

func (h timerHeap) up(i int) {
	for i > 0 && h.less(i, (i-1)/2) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

func (h timerHeap) down(i int) {
	for {
		k := 2*i + 1
		if k+1 < len(h) && h.less(k+1, k) {
			k++
		}
		if k >= len(h) || !h.less(k, i) {
			return
		}
		h.swap(i, k)
		i = k
	}
}

func (h *timerHeap) push(t *timer) {
	t.place = len(*h)
	*h = append(*h, t)
	h.up(t.place)
}

func (h *timerHeap) remove(t *timer) {
	i, last := t.place, len(*h)-1
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	if i < last {
		h.down(i)
		h.up(i)
	}
}

// Deadline bounds the wait of the running operation of lock id, if it was begun
// with this tag: when it has not been granted after ns from now, the first
// Tick from then on withdraws it in the cluster, and it completes as TimedOut,
// or as granted if that came first. The completion waits, as a cancel's does,
// for whoever may have granted it. A second deadline takes the first one's
// place. Returns OK, or NoLock or Invalid if no such operation is running: it
// has completed. (The kernel's TIMEOUT flag did this, and is gone.)
func (s *Shard) Deadline(now int64, id, tag uint64, after int64) Status {
	s.now = now
	l := s.own(id)
	switch {
	case l == nil:
		return wire.NoLock
	case l.wanted == NoMode || l.tag != tag:
		return wire.Invalid
	}
	s.stopTimer(l)
	if s.timerOf == nil {
		s.timerOf = map[uint64]*timer{}
	}
	t := &timer{at: now + min(max(after, 0), 1<<62-now), id: l.id}
	l.timed = true
	s.timerOf[l.id] = t
	s.timers.push(t)
	return wire.OK
}

func (s *Shard) stopTimer(l *Lock) {
	if l.timed {
		l.timed = false
		s.timers.remove(s.timerOf[l.id])
		delete(s.timerOf, l.id)
	}
}

// expire withdraws what has waited for too long.
func (s *Shard) expire() {
	for len(s.timers) > 0 && s.timers[0].at <= s.now {
		l := s.lock(s.cfg.Self, s.timers[0].id)
		if l == nil || !l.timed {
			continue // with the view: it has ended, or was granted
		}
		s.stopTimer(l)
		if l.withdrawn() {
			continue // that came first
		}
		l.expired = true
		s.withdraw(l)
	}
}
