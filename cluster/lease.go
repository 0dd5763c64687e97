package cluster

import "fmt"

// Terms are what all members agree on for leases. They are part of the
// replicated state, so that nobody counts with other numbers than the rest.
//
// # The arithmetic
//
// Let r be the drift bound: over a real time d a clock of a member, read as
// CLOCK_BOOTTIME, shows between d(1-r) and d(1+r). A lease lasts L of real time.
//
// The member sends renewal k at real time s. When it is answered, the member
// believes in its lease until its own clock has shown L(1-r) since s. That is at
// most L(1-r)/(1-r) = L of real time. So:
//
//	(1)  a lease that rests on a renewal sent at s has ended, at the member, at s+L.
//
// It counts from sending, not from the answer: only what it has sent can be
// older than what the leader has heard.
//
// The leader gets the renewal at real time t >= s, and stamps it with a reading
// of its clock made after it had the message in hand. It waits until its clock
// has shown W = L(1+r) + margin since that stamp: at least L + margin/(1+r) of
// real time. With (1):
//
//	(2)  when a leader proposes a view without the member, W after the last
//	     renewal that it has heard, every lease that rests on a renewal heard by
//	     this leader has ended.
//
// margin is above the resolution of the clocks, and for nothing else.
//
// Renewals that other leaders have answered: a leader answers only when a
// quorum has confirmed, after the renewal came, that it still leads. One of that
// quorum also voted for the next leader, and later, as voters do not go back. So
// a renewal that an earlier leader has answered came before the election, and
//
//	(3)  W after its election a leader need not fear what others have answered.
//
// Hence the deadline of a member is W after the latest of: the last renewal
// heard, the election, the join. A renewal that comes after the leader has
// proposed the view without the member is never answered well by this leader;
// a later leader answers only once it has applied all that may have been
// decided before it, that view among it.
//
// Pauses. The member reads its clock after it wakes, so a pause only shortens
// what it has left; a clock reading made before a pause must not be used after
// it, which is why Member.Valid takes a fresh one. A pause between that check
// and the deed is closed by tokens and reservations, and by nothing here. A
// leader that pauses reads its clock late, and waits too long rather than too
// short; renewals that came in the pause lie unread, so it waits for longer by as
// much, but for a few ticks of each pause (Server.excusePause).
type Terms struct {
	Lease    int64  // L, ns of real time: 100 ms to 1 h
	DriftPPM uint32 // r, in millionths: 0 to 100000
	Margin   int64  // ns, 0 to Lease
}

// DefaultTerms: clocks that differ by 1 in 1000 are far out of order; 5 s is
// several elections.
func DefaultTerms() Terms { return Terms{Lease: 5e9, DriftPPM: 1000, Margin: 50e6} }

const (
	minLease    = 100e6
	maxLease    = 3600e9
	maxDriftPPM = 100_000
)

func (t Terms) check() error {
	switch {
	case t.Lease < minLease || t.Lease > maxLease:
		return fmt.Errorf("%w: a lease of %d ns is not between 100 ms and 1 h", ErrInvalid, t.Lease)
	case t.DriftPPM > maxDriftPPM:
		return fmt.Errorf("%w: a drift of %d ppm is above %d", ErrInvalid, t.DriftPPM, maxDriftPPM)
	case t.Margin < 0 || t.Margin > t.Lease:
		return fmt.Errorf("%w: a margin of %d ns is not between 0 and the lease", ErrInvalid, t.Margin)
	}
	return nil
}

// Held is how long a member goes by a renewal, in ns on its clock from sending it.
func (t Terms) Held() int64 { return t.held(0) }

// Over is how long, in ns on any member's clock, until a lease has surely ended.
func (t Terms) Over() int64 { return t.over(0) }

// renewal is how long after a renewal a member sends the next one, on its clock. The rest
// of the lease is there for those that are lost, and for elections.
func (t Terms) renewal() int64 { return t.Lease / 4 }

// due is how long after a renewal the leader may expect the next one, on its own clock.
func (t Terms) due() int64 { return t.renewal() + t.drift() }

// drift is the share of the lease that a clock may be wrong by, rounded up.
func (t Terms) drift() int64 { return (t.Lease*int64(t.DriftPPM) + 999_999) / 1_000_000 }

// held is L(1-r): how long a member goes by a renewal, on its clock from sending it.
func (t Terms) held(off Rules) int64 {
	if off&RuleDrift != 0 {
		return t.Lease
	}
	return t.Lease - t.drift()
}

// over is W: how long a leader waits, on its clock, until a lease has ended.
func (t Terms) over(off Rules) int64 {
	if off&RuleDrift != 0 {
		return t.Lease + t.Margin
	}
	return t.Lease + t.drift() + t.Margin
}
