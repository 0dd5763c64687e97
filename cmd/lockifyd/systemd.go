package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/lockify-dlm/lockify/internal/node"
)

// This file tells systemd, or whoever listens at $NOTIFY_SOCKET, how the daemon is.

// tell sends assignments such as READY=1. Without a $NOTIFY_SOCKET it does nothing.
func (d *daemon) tell(assignments ...string) {
	if _, err := sd.SdNotify(false, strings.Join(assignments, "\n")); err != nil {
		d.log.Warn("systemd was not told", "what", assignments, "err", err)
	}
}

// minWatchdog is the least time after which systemd ends a daemon that says nothing.
const minWatchdog = 2 * time.Second

// watchdogTime is that time: two leases. After one, a daemon that was stopped finds that it
// has lost its membership, and joins anew by itself. After another one it surely will not,
// and its clients are better off with a new process.
func watchdogTime(lease time.Duration) time.Duration { return max(2*lease, minWatchdog) }

// watch feeds systemd's watchdog, if there is one, until ctx ends.
func (d *daemon) watch(ctx context.Context) error {
	wanted, err := sd.SdWatchdogEnabled(false)
	if err != nil || wanted == 0 {
		return err
	}
	limit := watchdogTime(d.cfg.lease)
	d.tell(fmt.Sprintf("WATCHDOG_USEC=%d", limit.Microseconds()), "WATCHDOG=1")
	tick := time.NewTicker(limit / 4)
	go func() {
		defer tick.Stop()
		feed(ctx, tick.C, d.alive, func() { d.tell("WATCHDOG=1") }, func(err error) {
			d.log.Error("not alive, as far as the watchdog is to know", "err", err)
		})
	}()
	return nil
}

// feed calls fed for each tick at which alive says so. An alive that does not return is
// what the watchdog is for.
func feed(ctx context.Context, ticks <-chan time.Time, alive func() error, fed func(), starved func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			if err := alive(); err != nil {
				starved(err)
				continue
			}
			fed()
		}
	}
}

// errUnfenced: a lease has ended, and the node goes on all the same.
var errUnfenced = errors.New("the lease has ended, but the node does not know")

// alive returns when the node has been in each of its shards, and in the loop that renews
// its lease. A node without a quorum is alive: another process would have none either.
func (d *daemon) alive() error {
	n := d.node.Load()
	n.Stats()
	if d.part != nil {
		d.part.Raft()
	}
	if ended(n.Joined()) && !n.Holds() && !ended(n.Over()) {
		// Holds first, then Over: a lease that ends in between is seen by the next tick.
		return errUnfenced
	}
	return nil
}

// ended says whether a channel is closed.
func ended(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// status says in a few words what n is, for systemctl status.
func (d *daemon) status(n *node.Node) string {
	return fmt.Sprintf("STATUS=node %d of cluster %q, instance %#x", n.ID(), d.cfg.cluster, n.Instance())
}
