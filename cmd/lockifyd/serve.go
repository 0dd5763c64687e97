package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/perf"
)

// shutdownTime bounds an orderly end.
const shutdownTime = 5 * time.Second

// daemon is a running node and what belongs to it, in the order of starting.
type daemon struct {
	cfg         *config
	log         *slog.Logger
	data        *dataDir // nil without one
	stopProfile func()
	node        *node.Node
	admin       *admin.Server // nil: off
}

// serve runs the node until a signal comes.
func serve(ctx context.Context, cfg *config, stdout, stderr io.Writer) error {
	// From here on a signal is an orderly end, also while starting.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	d := &daemon{cfg: cfg, log: logger(cfg, stderr), stopProfile: func() {}}
	err := d.start(ctx)
	if err == nil {
		_, err = fmt.Fprintln(stdout, d.ready())
	}
	if err == nil {
		s := <-signals
		d.log.Info("shutting down", "signal", s.String())
	}
	go func() {
		s := <-signals
		fmt.Fprintf(stderr, "lockifyd: second signal (%v), ending at once\n", s)
		number, _ := s.(syscall.Signal) // signals of os/signal are
		os.Exit(128 + int(number))
	}()
	d.stop()
	return err
}

func logger(cfg *config, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: cfg.logLevel}
	if cfg.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

func (d *daemon) start(ctx context.Context) (err error) {
	cfg := d.cfg
	instance := node.NewInstance(cfg.id)
	if cfg.data != "" {
		if d.data, err = openData(cfg.data); err != nil {
			return err
		}
		if instance, err = d.data.nextInstance(cfg.id); err != nil {
			return err
		}
	}
	if cfg.profile != "" {
		if d.stopProfile, err = perf.StartProfile(cfg.profile, cfg.profileDir); err != nil {
			d.stopProfile = func() {}
			return err
		}
	}
	if err := d.startNode(ctx, instance); err != nil {
		return err
	}
	if cfg.admin != "off" {
		d.admin, err = admin.Start(admin.Config{
			Addr: cfg.admin, AllowFromNetwork: cfg.adminFromNetwork, Node: d.node, Cluster: cfg.cluster, Logger: d.log,
		})
	}
	return err
}

func (d *daemon) startNode(ctx context.Context, instance uint64) error {
	cfg := d.cfg
	if err := engine.SetPollers(cfg.pollers); err != nil {
		return err
	}
	transport, err := node.NewTransport(cfg.transport)
	if err != nil {
		return err
	}
	ids := []uint16{cfg.id}
	for _, p := range cfg.peers {
		ids = append(ids, p.ID)
	}
	members, err := cluster.Static(ids...)
	if err != nil {
		return err
	}
	for _, addr := range append([]string{cfg.listen}, cfg.clients...) {
		if path, ok := strings.CutPrefix(addr, "unix://"); ok {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return fmt.Errorf("directory of the socket: %w", err)
			}
		}
	}
	d.node, err = node.Start(ctx, node.Config{
		ID: cfg.id, Instance: instance, Cluster: cfg.cluster, Listen: cfg.listen, Peers: cfg.peers, Clients: cfg.clients,
		Transport: transport, Shards: cfg.shards, IdleAfter: cfg.idleAfter, Compress: cfg.compress, Logger: d.log,
	}, members)
	return err
}

// ready is the line that says that all addresses are open, and which they
// are. Programs read it: "ready", then key=value.
func (d *daemon) ready() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ready id=%d instance=%#x", d.node.ID(), d.node.Instance())
	if addr := d.node.LinkAddr(); addr != "" {
		if network(d.cfg.listen) == "unix" {
			addr = "unix://" + addr
		}
		fmt.Fprintf(&b, " listen=%s", addr)
	}
	var clients []string
	for _, a := range d.node.ClientAddrs() {
		clients = append(clients, a.String())
	}
	fmt.Fprintf(&b, " clients=%s", strings.Join(clients, ","))
	if d.admin != nil {
		fmt.Fprintf(&b, " admin=%s", d.admin.Addr())
	}
	return b.String()
}

// stop ends what start has started, the latest first. Locks of other nodes
// that could not be told in time are no failure of this process: it has
// waited as long as it may.
func (d *daemon) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if d.admin != nil {
		// Whoever takes a profile now gets no more of it.
		brief, cancel := context.WithTimeout(ctx, shutdownTime/10)
		if err := d.admin.Close(brief); err != nil {
			d.log.Warn("admin requests cut off", "err", err)
		}
		cancel()
	}
	if d.node != nil {
		if err := d.node.Close(ctx); err != nil {
			d.log.Warn("not everything was sent", "err", err)
		}
		d.log.Info("node has ended")
	}
	d.stopProfile()
	if d.data != nil {
		d.data.close()
	}
}
