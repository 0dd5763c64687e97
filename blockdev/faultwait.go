package blockdev

import (
	"slices"
	"time"
)

func (b *faultBackend) Wait(n int, timeout time.Duration) {
	b.collect()
	if len(b.done) > 0 {
		return
	}
	if due := b.due(); due >= 0 && (timeout < 0 || due < timeout) {
		timeout = due
	}
	if b.inner.Pending() > 0 {
		if len(b.late) > 0 {
			n = 1
		}
		b.inner.backend.Wait(b.inner.hint(n), timeout)
		return
	}
	var over <-chan time.Time
	if timeout >= 0 {
		t := time.NewTimer(timeout)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-b.wake:
	case <-over:
	}
}

// due is the time until the first delay is over, negative if there is none.
func (b *faultBackend) due() time.Duration {
	due := time.Duration(-1)
	for i := range b.late {
		if l := &b.late[i]; !l.rule.Hold {
			if d := max(0, time.Until(l.at)); due < 0 || d < due {
				due = d
			}
		}
	}
	return due
}

func (b *faultBackend) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
	b.inner.backend.Wake()
	b.ring()
}

// ring calls Notify if that was asked for.
func (b *faultBackend) ring() {
	if b.armed.Swap(false) {
		b.notify()
	}
}

func (b *faultBackend) Arm() {
	b.armed.Store(true)
	b.collect()
	if len(b.done) > 0 {
		b.ring()
		return
	}
	if due := b.due(); due >= 0 {
		time.AfterFunc(due, b.ring)
	}
	b.inner.Arm()
}

func (b *faultBackend) Cancel(q *Request) {
	b.f.mu.Lock()
	at := slices.IndexFunc(b.late, func(l lateRequest) bool { return l.q == q })
	if at >= 0 {
		b.late = slices.Delete(b.late, at, at+1)
		b.done = append(b.done, Done{Tag: q.Tag, Status: StatusCanceled})
	}
	b.f.mu.Unlock()
	if at < 0 {
		b.inner.Cancel(uint64(q.Tag))
	}
}

func (b *faultBackend) Close() error {
	b.f.mu.Lock()
	b.late = nil
	b.f.rings = slices.DeleteFunc(b.f.rings, func(x *faultBackend) bool { return x == b })
	b.f.mu.Unlock()
	return b.inner.Close()
}
