package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// # The arithmetic of leases
//
// L, r, margin, and W = L(1+r) + margin are those of cluster.Terms. Clocks are read as
// CLOCK_BOOTTIME.
//
// The key nodes/<id> of an instance is made in the transaction that makes it a member.
// Once it is deleted, nobody makes it again: an instance joins once.
//
// A renewal is a linearizable read of that key. The member reads its clock, s, and then
// asks. If the key is there and is its own, it believes in its lease until its clock
// has shown L(1-r) since s: at most L of real time. etcd answers with what was there at
// some moment after the question. So, if the key was deleted at real time d,
//
//	(1)  each renewal that has found it was sent before d, and the lease ends before d+L.
//
// The transaction of the join is the first renewal: the key was there after it was sent.
//
// Everybody else watches the key. Who learns at real time o of its deletion, reads its
// clock then and waits until it has shown W since: at least L of real time. d is before
// o, so
//
//	(2)  W after somebody has learned of the deletion, the lease has ended,
//
// and he may carry out Expire; all try, and the first one counts. A node that is new
// knows since when it knows that a key is missing, and waits as long. Pauses do no
// harm: they make s older and o later. The same goes for readings that are made late.
//
// What deletes the key: an etcd lease, of TTL, that the member keeps alive; Remove, in
// the transaction that marks the member; Leave, which ends the membership at once, as
// nothing is held any more.
//
// # Why the TTL alone will not do
//
// The leader of etcd counts a TTL from a keep-alive that it has handled; a new leader
// counts all anew from its election, and an election timeout more; no answer promises
// less than what was asked for. So one could go by keep-alives, from their sending, and
// take the deletion as the end. But then an old leader of etcd that hangs and wakes up
// ends leases that a new one has renewed (etcd issue 15247: "All leases are revoked when
// the etcd leader is stuck"; what was done about it "can only mitigate the issue"). It
// also would rest on the clocks of machines that are not ours to bound, and on nobody
// revoking a lease, as all may who have access. Here such things can only end a
// membership early, for which (1) and (2) are ready.
//
// The price is time: a dead node's view is in force TTL + W after its last word, and
// not W. The TTL therefore is short, half a lease. It bounds for how long one node may
// be silent; the lease bounds for how long etcd may be, as with its elections: TTLs
// begin anew then. etcd counts in seconds and raises what is below one and a half
// election timeouts, 2 s as it comes.

// ttl gives the TTL, in s, for a lease.
func ttl(t cluster.Terms) int64 {
	const half = 2 * int64(time.Second)
	return max(1, (t.Lease+half-1)/half)
}

// renewals is the number of renewals, and of keep-alives, in a lease. Each may take
// as long as two of them, then the next one tries.
const renewals = 8

func every(t cluster.Terms) time.Duration { return time.Duration(t.Lease / renewals) }

// renewal is what a read of the node's own key has shown.
type renewal struct {
	sent int64 // reading of the clock before it was asked for
	mine bool  // the key is there, and this instance's
	err  error // no answer
}

// renew asks again and again whether the node's key is there.
func (m *membership) renew(t cluster.Terms, instance uint64) {
	tick := time.NewTicker(every(t))
	defer tick.Stop()
	for m.ctx.Err() == nil {
		r := m.readKey(t, instance)
		select {
		case m.renewed <- r:
		case <-m.ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-m.ctx.Done():
		}
	}
}

func (m *membership) readKey(t cluster.Terms, instance uint64) renewal {
	ctx, cancel := context.WithTimeout(m.ctx, 2*every(t))
	defer cancel()
	r := renewal{sent: engine.BootTime()}
	r.mine, r.err = first(ctx, m.everyServer(), func(ctx context.Context, s *store) (bool, error) {
		return s.holds(ctx, instance)
	})
	return r
}

// keepAlive keeps the etcd lease of the node's key, until it is gone. A failure is
// nothing to tell: renewals fail then, or find the key gone.
func (m *membership) keepAlive(t cluster.Terms, id clientv3.LeaseID) {
	tick := time.NewTicker(min(every(t), time.Duration(ttl(t))*time.Second/4))
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(m.ctx, 2*every(t))
		gone, _ := first(ctx, m.everyServer(), func(ctx context.Context, s *store) (gone bool, err error) {
			_, err = s.KeepAliveOnce(ctx, id)
			if errors.Is(err, rpctypes.ErrLeaseNotFound) {
				return true, nil
			}
			return false, err
		})
		cancel()
		if gone {
			return
		}
		select {
		case <-tick.C:
		case <-m.ctx.Done():
			return
		}
	}
}

// missing is since when, on this node's clock, it has known of members whose keys are
// gone; by instance.
type missing map[uint64]*absence

type absence struct {
	since int64
	asked bool // Expire is under way
}

// note compares members and keys, both of the same revision. now is a reading of the
// clock made since they were in hand.
func (g missing) note(now int64, s *cluster.State, keys map[uint16]uint64) {
	for instance := range g {
		if s.Member(instance) == nil {
			delete(g, instance)
		}
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if g[n.Instance] == nil && keys[n.ID] != n.Instance {
			g[n.Instance] = &absence{since: now}
		}
	}
}

// over gives those whose leases have ended at now, and when the next one will have.
func (g missing) over(now int64, t cluster.Terms) (gone []uint64, next int64) {
	for instance, a := range g {
		switch at := a.since + t.Over(); {
		case a.asked:
		case at <= now:
			gone = append(gone, instance)
		case next == 0 || at < next:
			next = at
		}
	}
	return gone, next
}

// noQuorum is why a membership ends whose lease has.
func noQuorum(now, since int64, trouble error) error {
	err := fmt.Errorf("%w for %d ms", cluster.ErrNoQuorum, (now-since)/1e6)
	if trouble != nil {
		err = fmt.Errorf("%w: %w", err, trouble)
	}
	return err
}
