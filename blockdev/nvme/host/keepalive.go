package host

import "time"

// keepAlive decides when a Keep Alive is due, and when the controller is dead. Times
// are of any clock that does not go back.
type keepAlive struct {
	timeout time.Duration // 0: none
	sent    time.Duration // when the latest one was
	asking  bool          // it has not been answered
}

// tick says whether a Keep Alive is to be sent now, whether the controller is dead, and
// when to look again. A controller counts from what it has received, so half of the
// time leaves room for a late one.
func (k *keepAlive) tick(now time.Duration) (send, dead bool, next time.Duration) {
	if k.timeout <= 0 {
		return false, false, now + time.Hour
	}
	if k.asking {
		end := k.sent + k.timeout
		return false, now >= end, end
	}
	if due := k.sent + k.timeout/2; now < due {
		return false, false, due
	}
	k.sent, k.asking = now, true
	return true, false, now + k.timeout
}

func (k *keepAlive) answered() { k.asking = false }

// backoff gives the times between attempts: twice as long each time, within bounds.
type backoff struct{ next time.Duration }

const (
	backoffFirst = 10 * time.Millisecond
	backoffLast  = 2 * time.Second
)

// wait is how long to wait before the next attempt; by is between 0 and 1, so that
// hosts that have lost the same controller don't come back all at once.
func (b *backoff) wait(by float64) time.Duration {
	b.next = min(max(2*b.next, backoffFirst), backoffLast)
	return b.next/2 + time.Duration(by*float64(b.next/2))
}
