package lockify

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/lockspace"
)

// Guarded is a ring whose requests a lock guards. It is used like the ring, by the same
// goroutine at a time, and for nothing but GetSQE: Submit, Wait and Peek are the ring's. One
// ring may have many, one for each lock, and requests without any.
type Guarded struct {
	// Margin is how much of the lease must be left when a request starts, for it to get
	// to the device: DefaultMargin. It may be set before the first request.
	Margin time.Duration

	lock  *Lock
	ring  *blockdev.Ring
	token uint64
}

// DefaultMargin is what a Guarded begins with: above what a request on a local network
// takes, below what is always left of the shortest lease, 200 ms.
const DefaultMargin = 20 * time.Millisecond

// ErrStale says that a lock is held, but not any more as it was when Guard was called: it
// was converted, or demoted and granted again, and somebody else may have had it meanwhile.
var ErrStale = errors.New("lockify: the lock has another token than when it began to guard")

// Guard lets requests to a disk start only while lock is held, as it is held now.
//
//	g := lockify.Guard(lock, ring)
//	g.GetSQE().PrepWrite(0, block)
//	ring.Submit()
//
// # What it guarantees
//
// When a request starts (if it is linked or drained, when its turn comes) the lock is held,
// by a look at the clock and not only by what has been heard: of the lease that was
// confirmed last at least Margin is left. It is held in a mode that allows what the
// request does: CW, PW or EX to write, any but NL to read. Its token is that of the grant
// that Guard saw, and no claim is open (New, until Confirmed). A request that may not start
// ends with blockdev.StatusGuarded, and Err says why, unless it is the mode.
//
// When the lock is lost, what is in flight is taken back, also from a Wait that is going
// on: it ends with blockdev.StatusCanceled, or as it has ended. Requests of other guards
// go on. Nothing is taken back by itself if the program neither waits nor peeks.
//
// Unlock and Convert are refused with ErrBusy from Submit until the last guarded request
// has ended, so that no own request is on its way when others get the lock. Closing the
// lockspace, client or node asks nobody: close the ring first.
//
// # What it does not
//
// A process that is stopped between the look at the clock and the device, a request that
// lies in a network, or one that was taken back too late, can still reach the disk when
// another holds the lock. No check at this end closes that. The disk does: let the nodes
// fence by it ([[fence_disk]] of lockifyd, Session.HostID). That is for nodes that the
// cluster goes on without; against a paused program on a live node there are tokens, if
// the storage looks at them (package fence).
//
// Guard called again, with the same ring, after each conversion gives a new Guarded; the
// one before lets nothing start any more.
func Guard(lock *Lock, ring *blockdev.Ring) *Guarded {
	lock.mu.Lock()
	defer lock.mu.Unlock()
	g := &Guarded{Margin: DefaultMargin, lock: lock, ring: ring, token: lock.grant.Token}
	x := lock.rarely()
	x.guards = slices.DeleteFunc(x.guards, func(o *Guarded) bool { return o.ring.Closed() }) // a lock may outlive many
	for i, o := range x.guards {
		if o.ring == ring {
			if o.token != g.token {
				x.guards[i] = g
				return g
			}
			return o
		}
	}
	if !lock.gone {
		x.guards = append(x.guards, g)
	}
	return g
}

// GetSQE gives a request of the ring that the lock guards; nil if the ring is full or
// closed.
func (g *Guarded) GetSQE() *blockdev.SQE {
	s := g.ring.GetSQE()
	if s != nil {
		s.Gate = (*gate)(g)
	}
	return s
}

// Err says why requests do not start any more, nil: they do, if the mode allows them.
// Errors: ErrLost, ErrStale, ErrBusy while the lock is converted or unlocked, ErrNotHeld.
func (g *Guarded) Err() error { return g.admit(blockdev.Flush) }

func (g *Guarded) admit(op blockdev.Op) error {
	l := g.lock
	left := int64(noEnd)
	if l.at != nil {
		left = l.at.left()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.isLost:
		return fmt.Errorf("guard of %q: %w", l.name, ErrLost)
	case l.gone:
		return fmt.Errorf("guard of %q: %w", l.name, ErrNotHeld)
	case left == 0:
		return fmt.Errorf("guard of %q: %w", l.name, ErrLost)
	case left < int64(g.Margin):
		return fmt.Errorf("guard of %q: %w, or may be before a request gets to the disk: its lease lasts for %v more", l.name, ErrLost, time.Duration(left))
	case l.grant.Pending:
		return fmt.Errorf("guard of %q: %w", l.name, ErrBusy)
	case l.grant.Token != g.token:
		return fmt.Errorf("guard of %q: %w", l.name, ErrStale)
	case l.claimOpen():
		return fmt.Errorf("guard of %q: %w: the cluster has not confirmed it yet", l.name, ErrBusy)
	case !allows(l.grant.Mode, op):
		return fmt.Errorf("guard of %q: %w: %s in %s", l.name, ErrNotHeld, op, l.grant.Mode)
	}
	return nil
}

// allows says whether a holder in mode may do op. Shared writers (CW) have their own
// agreement about who writes what.
func allows(mode Mode, op blockdev.Op) bool {
	switch {
	case mode == NL, mode == lockspace.NoMode:
		return false
	case op.Writes():
		return mode == CW || mode == PW || mode == EX
	}
	return true
}

// gate is a Guarded as its ring sees it.
type gate Guarded

func (g *gate) Enter() { g.lock.guarded.Add(1) }

func (g *gate) Leave() { g.lock.guarded.Add(-1) }

func (g *gate) Admit(op blockdev.Op) blockdev.Status {
	if (*Guarded)(g).admit(op) != nil {
		return blockdev.StatusGuarded
	}
	return blockdev.OK
}
