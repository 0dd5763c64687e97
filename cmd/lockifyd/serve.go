package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/events"
	"github.com/lockify-dlm/lockify/internal/member"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/internal/secure"
	"github.com/lockify-dlm/lockify/internal/tracing"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/perf"
)

// shutdownTime bounds an orderly end.
const shutdownTime = 5 * time.Second

// daemon is a running node and what belongs to it, in the order of starting.
type daemon struct {
	cfg         *config
	log         *slog.Logger
	level       *slog.LevelVar                // of log
	policy      atomic.Pointer[access.Policy] // what clients may do
	events      *events.Ring                  // what is logged, for lockctl watch
	again       func() (*config, error)       // reads the configuration anew
	data        *member.Data                  // nil without one
	member      atomic.Bool                   // the service manager was told that the node is ready
	restarts    atomic.Uint64                 // of the node, after it was fenced
	stopProfile func()
	transport   engine.Transport
	secure      *secure.Keeper // nil: no TLS
	part        *member.Part   // in the agreement on membership; nil: that is fixed, or kept in etcd
	node        atomic.Pointer[node.Node]
	admin       *admin.Server     // nil: off
	tracing     *tracing.Provider // nil: off
	exports     *exporter         // nil: none
	leaves      chan struct{}     // an administrator wants the node to leave
	signals     chan os.Signal
	postpones   *postponer
}

// serve runs the node until a signal comes. again gives the configuration as it is by then.
func serve(ctx context.Context, cfg *config, again func() (*config, error), stdout, stderr io.Writer) error {
	// From here on a signal is an orderly end, also while starting.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // else the end of who reads the log ends the node
	level := new(slog.LevelVar)
	level.Set(cfg.logLevel)
	ring := events.NewRing(keptEvents)
	log, flush := newLog(cfg, level, ring, stderr)
	defer flush()
	d := &daemon{
		cfg: cfg, log: log, level: level, events: ring, again: again,
		stopProfile: func() {}, leaves: make(chan struct{}, 1), signals: signals, postpones: newPostponer(),
	}
	d.policy.Store(cfg.policy())
	beside, stopBeside := context.WithCancel(ctx)
	defer stopBeside()
	err := d.start(ctx)
	if err == nil {
		err = d.watch(beside)
	}
	if err == nil {
		go d.reloads(beside, hups)
		err = d.run(ctx, signals, stdout)
	}
	if errors.Is(err, errSignal) {
		d.log.Info("shutting down before the node could register at the shared disks")
		<-signals // which register has put back
		err = nil
	}
	go func() {
		s := secondSignal(signals, time.After(sameSignal))
		flush()
		fmt.Fprintf(stderr, "lockifyd: second signal (%v), ending at once\n", s)
		number, _ := s.(syscall.Signal) // signals of os/signal are
		os.Exit(128 + int(number))
	}()
	stopBeside()
	d.tell(sd.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", 2*shutdownTime.Microseconds()), "STATUS=ending")
	d.stop()
	return err
}

// sameSignal is how long after the first signal another one is still that one: who signals a process
// and then its group, as timeout(1) does, or a terminal and a wrapper that passes ^C on, wants no more
// than an end in order.
const sameSignal = 200 * time.Millisecond

// secondSignal waits for a signal behind those that come before other.
func secondSignal(signals <-chan os.Signal, other <-chan time.Time) os.Signal {
	for {
		select {
		case <-signals:
		case <-other:
			return <-signals
		}
	}
}

// keptEvents are about a megabyte.
const keptEvents = 4096

// flushTime is how long the end of the process waits for the reader of its log.
const flushTime = time.Second

// newLog makes the log of a node, which waits for none of its readers until flush.
func newLog(cfg *config, level slog.Leveler, ring *events.Ring, stderr io.Writer) (log *slog.Logger, flush func()) {
	w := events.NewWriter(stderr, func(lost uint64) { log.Warn("the log was not read: lines are left out", "lines", lost) })
	log = slog.New(events.NewHandler(ring, logHandler(cfg, level, w)))
	return log, func() { w.Flush(flushTime) }
}

func logHandler(cfg *config, level slog.Leveler, w io.Writer) slog.Handler {
	opts := &slog.HandlerOptions{Level: level}
	if cfg.logFormat == "json" {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

func (d *daemon) start(ctx context.Context) (err error) {
	cfg := d.cfg
	if err := engine.ShortTurns(); err != nil {
		d.log.Warn("answers may take longer while this machine is busy", "err", err)
	}
	engine.Linger() // there is no program in this process that waits for what handlers find
	if cfg.data != "" {
		if d.data, err = member.OpenData(cfg.data); err != nil {
			return err
		}
		if err := d.checkData(); err != nil {
			return err
		}
	}
	if cfg.profile != "" {
		if d.stopProfile, err = perf.StartProfile(cfg.profile, cfg.profileDir); err != nil {
			d.stopProfile = func() {}
			return err
		}
	}
	if err := d.prepare(); err != nil {
		return err
	}
	d.warnDenied()
	if cfg.tracingEndpoint != "" {
		d.tracing, err = tracing.Open(ctx, tracing.Config{Endpoint: cfg.tracingEndpoint, Node: cfg.id, Cluster: cfg.cluster, Logger: d.log})
		if err != nil {
			return err
		}
	}
	if err := d.openPart(); err != nil {
		return err
	}
	if len(cfg.exports) > 0 { // first: the node may need one to register at
		if d.exports, err = startExports(ctx, cfg, d.log); err != nil {
			return err
		}
	}
	if err := d.startNode(ctx); err != nil {
		return err
	}
	if cfg.admin != "off" {
		c := admin.Config{
			Addr: cfg.admin, AllowFromNetwork: cfg.adminFromNetwork, Node: d.node.Load, Cluster: cfg.cluster, Logger: d.log,
			Leave: d.leave, Events: d.events, Settings: cfg.shown,
		}
		if d.part != nil {
			c.Raft, c.Bars, c.Outside = d.part.Raft, d.part.Bars, d.part.Outside
		}
		if d.part != nil || len(cfg.etcd.Endpoints) > 0 {
			c.Restarts = d.restarts.Load
		}
		if d.secure != nil {
			c.CertEnds = d.secure.Ends
		}
		if d.tracing != nil {
			c.Spans = func() (sent, dropped uint64) { return d.tracing.Sent(), d.tracing.Dropped() }
		}
		d.admin, err = admin.Start(c)
	}
	return err
}

// prepare makes what the sockets need.
func (d *daemon) prepare() (err error) {
	if err := engine.SetPollers(d.cfg.pollers); err != nil {
		return err
	}
	if d.transport, err = node.NewTransport(d.cfg.transport); err != nil {
		return err
	}
	if err := d.openTLS(); err != nil {
		return err
	}
	for _, addr := range append([]string{d.cfg.listen}, d.cfg.clients...) {
		if path, ok := strings.CutPrefix(addr, "unix://"); ok {
			if err := socketDir(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// startNode begins a start of the node, with an instance of its own.
func (d *daemon) startNode(ctx context.Context) (err error) {
	cfg := d.cfg
	instance := node.NewInstance(cfg.id)
	if d.data != nil {
		if instance, err = d.data.NextInstance(cfg.id); err != nil {
			return err
		}
	}
	c := node.Config{
		ID: cfg.id, Instance: instance, Cluster: cfg.cluster, Listen: cfg.listen, Peers: cfg.peers, Clients: cfg.clients,
		Transport: d.transport, Secure: d.secure, Rings: cmp.Or(cfg.rings, -1), Shards: cfg.shards, IdleAfter: cfg.idleAfter, CloseAfter: cfg.closeAfter, Compress: cfg.compress, LongWait: cfg.longWait, Logger: d.log,
		Access: d.policy.Load, SocketMode: cfg.socketMode, Limits: cfg.limits, Recovers: d.postpones.recovers,
	}
	if d.tracing != nil {
		c.Tracing = &node.Tracing{Tracer: d.tracing.Tracer(node.TracerName), Ratio: cfg.tracingRatio}
	}
	var fixed *lockspace.View
	switch {
	case d.part != nil:
		d.part.Serve(&c)
		if err = d.register(ctx, instance); err != nil {
			return err
		}
	case len(cfg.etcd.Endpoints) > 0:
		c.Join = d.joinEtcd
	default:
		ids := []uint16{cfg.id}
		for _, p := range cfg.peers {
			ids = append(ids, p.ID)
		}
		if fixed, err = cluster.Static(ids...); err != nil {
			return err
		}
	}
	n, err := node.Start(ctx, c, fixed)
	if err == nil {
		d.node.Store(n)
		if d.part != nil {
			d.part.Began(n)
		}
	}
	return err
}

// ready is the line that says that all addresses are open, and which they
// are. Programs read it: "ready", then key=value.
func (d *daemon) ready() string {
	var b strings.Builder
	n := d.node.Load()
	fmt.Fprintf(&b, "ready id=%d instance=%#x", n.ID(), n.Instance())
	if addr := n.LinkAddr(); addr != "" {
		if address.Network(d.cfg.listen) == "unix" {
			addr = "unix://" + addr
		}
		fmt.Fprintf(&b, " listen=%s", addr)
	}
	var clients []string
	for _, a := range n.ClientAddrs() {
		clients = append(clients, a.String())
	}
	fmt.Fprintf(&b, " clients=%s", strings.Join(clients, ","))
	if d.admin != nil {
		fmt.Fprintf(&b, " admin=%s", d.admin.Addr())
	}
	if d.exports != nil {
		b.WriteString(d.exports.ready())
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
	if n := d.node.Load(); n != nil {
		if d.part != nil {
			brief, cancel := context.WithTimeout(ctx, shutdownTime/2)
			d.part.Unregister(brief, n)
			cancel()
		}
		if err := n.Close(ctx); err != nil {
			d.log.Warn("not everything was sent", "err", err)
		}
		d.log.Info("node has ended")
	}
	if d.part != nil {
		if err := d.part.Close(); err != nil {
			d.log.Warn("the part in membership has not ended well", "err", err)
		}
	}
	if d.tracing != nil {
		brief, cancel := context.WithTimeout(ctx, shutdownTime/5)
		if err := d.tracing.Close(brief); err != nil {
			d.log.Warn("not all spans were sent", "err", err)
		}
		cancel()
	}
	if d.exports != nil { // last: until now the others may have needed them
		if err := d.exports.close(); err != nil {
			d.log.Warn("exports have not ended well", "err", err)
		}
	}
	d.stopProfile()
	if d.data != nil {
		d.data.Close()
	}
}
