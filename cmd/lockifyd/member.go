package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/cluster/agent"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/wire"
)

// storeName is the file of the voter's store in the data directory.
const storeName = "cluster.db"

// dynamic says that membership changes: the node makes or joins a cluster, or its data
// directory has been in one.
func (d *daemon) dynamic() bool {
	cfg := d.cfg
	if cfg.newCluster || len(cfg.join) > 0 {
		return true
	}
	if cfg.data == "" || len(cfg.peers) > 0 {
		return false
	}
	_, err := os.Stat(filepath.Join(cfg.data, storeName))
	return err == nil
}

// openAgent starts the node's part in the agreement, if there is one.
func (d *daemon) openAgent() (err error) {
	if !d.dynamic() {
		return nil
	}
	cfg := d.cfg
	terms := cluster.DefaultTerms()
	terms.Lease = int64(cfg.lease)
	d.mailer = engine.NewMailer(d.log)
	c := agent.Config{
		ID: cfg.id, Cluster: cfg.cluster, Addr: cfg.advertise, Found: cfg.newCluster, Join: cfg.join,
		Terms: terms, Voters: cfg.voters, Mail: node.Mailer{Mailer: d.mailer}, Features: wire.Features, Logger: d.log,
	}
	if cfg.data != "" {
		c.Store = filepath.Join(cfg.data, storeName)
	}
	if cfg.fenceCommand != "" {
		c.Fence = d.fenceByCommand
	}
	d.agent, err = agent.Open(c)
	return err
}

func (d *daemon) closeAgent() {
	if d.agent != nil {
		if err := d.agent.Close(); err != nil {
			d.log.Warn("the part in membership has not ended well", "err", err)
		}
	}
	if d.mailer != nil {
		d.mailer.Close()
	}
}

// fenceTime bounds a fence command.
const fenceTime = time.Minute

// fenceByCommand runs the command that ends a node.
func (d *daemon) fenceByCommand(ctx context.Context, instance uint64) error {
	ctx, cancel := context.WithTimeout(ctx, fenceTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", d.cfg.fenceCommand)
	cmd.Env = append(os.Environ(), fmt.Sprintf("LOCKIFY_NODE=%d", cluster.NodeOf(instance)), fmt.Sprintf("LOCKIFY_INSTANCE=%#x", instance))
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("fence command: %w: %.300s", err, out)
	}
	return nil
}

// sayEvery is how often it is said that the node waits for its cluster.
const sayEvery = 5 * time.Second

// run says when the node is ready, and starts it anew when its membership has ended,
// until a signal comes.
func (d *daemon) run(ctx context.Context, signals <-chan os.Signal, stdout io.Writer) error {
	ready := func() error {
		_, err := fmt.Fprintln(stdout, d.ready())
		return err
	}
	for {
		if ended, err := d.life(signals, ready); ended {
			return err
		}
		ready = func() error { return nil } // said before
		d.log.Warn("starting anew", "reason", d.node.Load().Why())
		if err := d.restart(ctx); err != nil {
			return err
		}
	}
}

// life lasts as long as the node does, false, or the process, true.
func (d *daemon) life(signals <-chan os.Signal, ready func() error) (ended bool, err error) {
	say := time.NewTicker(sayEvery)
	defer say.Stop()
	n := d.node.Load()
	joined := n.Joined()
	var failed <-chan error
	if d.agent != nil {
		failed = d.agent.Failed()
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
		case err := <-failed:
			return true, err
		case <-joined:
			joined = nil
			if err := ready(); err != nil {
				return true, err
			}
		case <-say.C:
			if joined != nil {
				d.log.Warn("waiting to become a member of the cluster", "join", d.cfg.join)
			}
		case <-n.Over():
			return false, nil
		}
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
