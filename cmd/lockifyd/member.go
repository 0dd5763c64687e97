package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/member"
)

// dynamic says that nodes agree on membership among themselves: the node makes or joins a
// cluster, or its data directory has been in one.
func (d *daemon) dynamic() bool {
	cfg := d.cfg
	if len(cfg.etcd.Endpoints) > 0 {
		return false
	}
	return cfg.newCluster || len(cfg.join) > 0 || d.data != nil && d.data.InCluster()
}

// checkData refuses a data directory that is not what the settings rely on. Without the
// cluster that it was in, a node with nobody to join would be all of another one, and
// grant what others hold.
func (d *daemon) checkData() error {
	cfg := d.cfg
	if d.data == nil || len(cfg.etcd.Endpoints) > 0 {
		return nil
	}
	switch in := d.data.InCluster(); {
	case in && len(cfg.peers) > 0:
		return fmt.Errorf("data: %s is of a node whose cluster agrees on its members, but peers fix them: drop peers, or set another directory", cfg.data)
	case !in && len(cfg.peers) == 0 && !d.dynamic():
		for _, key := range []string{"listen", "advertise", "lease", "voters", "fence_command", "fence_disk"} {
			if cfg.where[key] != "" {
				return fmt.Errorf("%s is set, but %s has no cluster: set join to join one (is the directory empty, or not mounted?), or new_cluster to make one", key, cfg.data)
			}
		}
	}
	return nil
}

// openPart starts the node's part in the agreement, if there is one.
func (d *daemon) openPart() (err error) {
	if !d.dynamic() {
		return nil
	}
	cfg := d.cfg
	d.part, err = member.Open(member.Config{
		ID: cfg.id, Cluster: cfg.cluster, Addr: cfg.advertise, NewCluster: cfg.newCluster, Join: cfg.join, Data: d.data,
		Lease: cfg.lease, Voters: cfg.voters, FenceCommand: cfg.fenceCommand, Disks: cfg.fenceDisks, Transport: d.transport, Logger: d.log,
	})
	return err
}

// That the node waits for its cluster is said soon, and then every so often.
const (
	saySoon  = time.Second
	sayEvery = 5 * time.Second
)

// run says when the node is ready, and starts it anew when its membership has ended,
// until a signal comes.
func (d *daemon) run(ctx context.Context, signals <-chan os.Signal, stdout io.Writer) error {
	said := false
	ready := func() (err error) {
		d.member.Store(true)
		d.tell(sd.SdNotifyReady, d.status(d.node.Load()))
		if !said {
			said = true
			d.sayOther()
			_, err = fmt.Fprintln(stdout, d.ready())
		}
		return err
	}
	for {
		if ended, err := d.life(signals, ready); ended {
			return err
		}
		why := d.node.Load().Why()
		if final(why) {
			return why
		}
		d.restarts.Add(1)
		d.log.Warn("starting anew", "reason", why)
		d.tell("STATUS=starting anew: " + why.Error())
		if err := d.restart(ctx); err != nil {
			return err
		}
	}
}

// final says that another start of the node would end in the same way: somebody has to
// do something about it.
func final(why error) bool {
	for _, err := range []error{cluster.ErrOther, cluster.ErrLimit, cluster.ErrInvalid} {
		if errors.Is(why, err) {
			return true
		}
	}
	return false
}

// life lasts as long as the node does, false, or the process, true.
func (d *daemon) life(signals <-chan os.Signal, ready func() error) (ended bool, err error) {
	say := time.NewTicker(saySoon)
	defer say.Stop()
	n := d.node.Load()
	joined := n.Joined()
	var failed <-chan struct{}
	if d.part != nil {
		failed = d.part.Failed()
	}
	for {
		select {
		case s := <-signals:
			d.log.Info("shutting down", "signal", s.String())
			return true, nil
		case <-d.leaves:
			d.log.Info("leaving the cluster for good")
			n.LeaveForGood()
			return true, nil
		case <-failed:
			return true, d.part.Failure()
		case <-joined:
			joined = nil
			if err := ready(); err != nil {
				return true, err
			}
		case <-say.C:
			say.Reset(sayEvery)
			if joined != nil {
				d.sayWaits()
			}
		case <-n.Over():
			return false, nil
		}
	}
}

// sayWaits says that the node is no member yet, and why, as far as that is known.
func (d *daemon) sayWaits() {
	const what = "waiting to become a member of the cluster"
	why := ""
	if d.part != nil {
		why = d.part.Outside()
	}
	if why == "" {
		why = "no answer yet"
	}
	d.log.Warn(what, "reason", why, "join", d.cfg.join, "etcd", d.cfg.etcd.Endpoints)
	d.tell(fmt.Sprintf("STATUS=%s: %q", what, why)) // others say why: it stays one line
}

// sayOther says which settings are not those of the cluster that this node has joined.
func (d *daemon) sayOther() {
	p := d.node.Load().Membership()
	if p == nil { // it is fixed
		return
	}
	s := p.State()
	if s == nil { // it has ended meanwhile
		return
	}
	lease := time.Duration(s.Terms.Lease)
	if d.cfg.where["lease"] != "" && lease != d.cfg.lease {
		d.log.Warn("the lease is another one: that with which the cluster was made holds", "lease", lease, "configured", d.cfg.lease)
	}
	if d.cfg.where["voters"] != "" && s.Want > 0 && s.Want != d.cfg.voters {
		d.log.Warn("the number of voters is another one: that with which the cluster was made holds", "voters", s.Want, "configured", d.cfg.voters)
	}
}

// leave lets the node leave for good.
func (d *daemon) leave() {
	select {
	case d.leaves <- struct{}{}:
	default: // it is leaving
	}
}

// restart ends a fenced node, and begins its next start.
func (d *daemon) restart(ctx context.Context) error {
	brief, cancel := context.WithTimeout(ctx, shutdownTime)
	defer cancel()
	if err := d.node.Load().Close(brief); err != nil {
		d.log.Warn("the fenced node has not ended well", "err", err)
	}
	return d.startNode(ctx)
}
