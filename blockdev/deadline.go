package blockdev

import "time"

// clock is the time since the ring was made, never 0.
func (r *Ring) clock() time.Duration { return time.Since(r.start) + 1 }

// setDeadlines reads the clock for what is being submitted, if anything needs it.
func (r *Ring) setDeadlines() {
	var now time.Duration
	for _, tag := range r.prepared {
		q := &r.slots[tag]
		if q.Deadline <= 0 {
			continue
		}
		if now == 0 {
			now = r.clock()
		}
		q.deadline = now + q.Deadline
		if r.nextDeadline == 0 || q.deadline < r.nextDeadline {
			r.nextDeadline = q.deadline
		}
	}
}

// untilDeadline is the time until expire must be called, negative if there is none.
func (r *Ring) untilDeadline() time.Duration {
	if r.nextDeadline == 0 {
		return -1
	}
	return max(0, r.nextDeadline-r.clock())
}

// expire takes back what is late. Requests that have ended leave nextDeadline too
// early; so a ring whose requests end in time looks at them all once in a deadline.
func (r *Ring) expire() {
	now := r.clock()
	r.nextDeadline = 0
	for i := range r.slots {
		q := &r.slots[i]
		switch {
		case q.state <= prepared || q.deadline == 0 || q.expired:
		case q.deadline <= now:
			q.expired = true
			r.takeBack(q, StatusDeadline)
		case r.nextDeadline == 0 || q.deadline < r.nextDeadline:
			r.nextDeadline = q.deadline
		}
	}
	r.admit()
	r.flush()
}
