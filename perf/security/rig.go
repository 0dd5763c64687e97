package security

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/secure"
	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/wire"
)

// Limits of the daemon, low enough to be met.
const (
	maxRate   = 20000   // requests a second
	maxQueued = 1 << 20 // bytes
)

const daemonConfig = `
max_client_rate = %d
max_client_queued = %d

[[access]]
lockspaces   = ["victim"]
certificates = ["victim"]
may          = "exclusive"

[[access]]
lockspaces   = ["mallory"]
certificates = ["mallory"]
may          = "exclusive"
`

// rig is a daemon with those who use it, and those who attack it.
type rig struct {
	dir    string
	daemon *proc.Process
	unix   string // for clients
	addr   string // for clients, host:port, by TLS
	nodes  string // for nodes, host:port

	witness *raw
	lock    uint64 // that the witness holds, in PR
	number  uint32 // of the lockspace

	other *proc.Process // a daemon that nobody attacks

	victims    *worker
	bystanders *worker    // the same for other
	foes       [2]*worker // by who does an attack
}

// start makes certificates and a daemon.
func start(ctx context.Context, o *Options) (r *rig, err error) {
	r = &rig{}
	if r.dir, err = os.MkdirTemp("", "lockify-security"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if err := r.certificates(); err != nil {
		return nil, err
	}
	addrs, err := proc.FreeAddrs(2)
	if err != nil {
		return nil, err
	}
	r.addr, r.nodes, r.unix = addrs[0], addrs[1], "unix://"+filepath.Join(r.dir, "s")
	config := filepath.Join(r.dir, "lockifyd.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, daemonConfig, maxRate, maxQueued), 0o600); err != nil {
		return nil, err
	}
	f := r.files("node-1")
	r.daemon, err = startDaemon(ctx, o,
		"--id", "1", "--cluster", "security", "--new-cluster", "--voters", "1", "--data", filepath.Join(r.dir, "data"), "--listen", r.nodes,
		"--clients", r.unix+",tcp://"+r.addr, "--admin", "off", "--config", config,
		"--tls-cert", f.Cert, "--tls-key", f.Key, "--tls-ca", f.CA)
	if err == nil {
		r.other, err = startDaemon(ctx, o, "--id", "1", "--clients", r.aside(), "--admin", "off")
	}
	if err != nil {
		return nil, err
	}
	if err := r.people(); err != nil {
		return nil, err
	}
	return r, r.workers(o)
}

// aside is the other daemon's address.
func (r *rig) aside() string { return r.unix + "2" }

// startDaemon gives a lockifyd that is ready.
func startDaemon(ctx context.Context, o *Options, args ...string) (*proc.Process, error) {
	ready := make(chan struct{})
	p, err := proc.Start("lockifyd", func(out io.Reader) { proc.ReadUntil(out, "ready"); close(ready) }, o.Daemon, args...)
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
		return p, nil
	case <-ctx.Done():
		p.Stop(patience)
		return nil, ctx.Err()
	}
}

// certificates makes those of the cluster.
func (r *rig) certificates() error {
	ca, err := secure.NewCA("security", time.Now(), time.Hour)
	if err != nil {
		return err
	}
	err = os.WriteFile(filepath.Join(r.dir, "ca.crt"), ca.Cert, 0o600)
	for name, id := range map[string]secure.Identity{"node-1": {Node: 1}, "node-2": {Node: 2}, "victim": {Client: "victim"}, "mallory": {Client: "mallory"}} {
		p, e := secure.Issue(ca, id, time.Now(), time.Hour)
		f := r.files(name)
		err = errors.Join(err, e, os.WriteFile(f.Cert, p.Cert, 0o600), os.WriteFile(f.Key, p.Key, 0o600))
	}
	return err
}

func (r *rig) files(name string) lockify.TLSFiles { return tlsFiles(r.dir, name) }

func tlsFiles(dir, name string) lockify.TLSFiles {
	return lockify.TLSFiles{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key"), CA: filepath.Join(dir, "ca.crt")}
}

// certificate opens one.
func certificate(dir, name string) (*tls.Config, error) {
	k, err := secure.Open(tlsFiles(dir, name), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return k.Client(), nil
}

// people makes the witness.
func (r *rig) people() error {
	cfg, err := certificate(r.dir, "victim")
	if err != nil {
		return err
	}
	if r.witness, err = dial(r.addr, cfg); err != nil {
		return err
	}
	if err = r.witness.hello(); err != nil {
		return err
	}
	var st wire.Status
	if r.number, st, err = r.witness.open("victim"); err == nil && st != wire.OK {
		err = fmt.Errorf("opening a lockspace: %v", st)
	}
	if err != nil {
		return err
	}
	m, err := r.ask(wire.Msg{Type: wire.LockReq, Name: []byte("precious"), Mode: 3, Req: 2})
	r.lock = m.Lock
	return err
}

// ask has the witness ask for something, which must succeed.
func (r *rig) ask(m wire.Msg) (wire.Msg, error) {
	if err := r.witness.send(wire.Header{Lockspace: r.number}, m); err != nil {
		return m, err
	}
	a, err := r.witness.await(wire.Ast)
	if err == nil && a.Status != wire.OK {
		err = fmt.Errorf("%v: %s", a.Status, a.Text)
	}
	return a, err
}

// check says whether all is as it should be behind an attack.
func (r *rig) check(ctx context.Context, res *Result) error {
	for _, mode := range []uint8{5, 3} { // it has its lock if it can change it
		if _, err := r.ask(wire.Msg{Type: wire.ConvertReq, Lock: r.lock, Mode: mode, Req: 3}); err != nil {
			return fmt.Errorf("the witness has lost its lock: %w", err)
		}
	}
	return r.newcomer(ctx, res)
}

// newcomer comes by TLS, locks, and goes.
func (r *rig) newcomer(ctx context.Context, res *Result) error {
	begin := time.Now()
	defer func() { res.NewcomerMS = max(res.NewcomerMS, float64(time.Since(begin))/float64(time.Millisecond)) }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := lockify.Dial(ctx, "tcp://"+r.addr, lockify.WithTLS(r.files("victim")), lockify.OneSession())
	if err != nil {
		return fmt.Errorf("a newcomer: %w", err)
	}
	defer c.Close()
	s, err := c.Open(ctx, "victim")
	if err == nil {
		_, err = s.Lock(ctx, "newcomer", lockify.EX)
	}
	if err != nil {
		err = fmt.Errorf("a newcomer: %w", err)
	}
	return err
}

// workers starts the other processes.
func (r *rig) workers(o *Options) (err error) {
	order := order{
		Unix: r.unix, Addr: r.addr, Nodes: r.nodes, Dir: r.dir, Session: r.witness.session, Lock: r.lock, Number: r.number,
		Connections: max(1, o.Connections/turns(o.Duration)),
	}
	if r.victims, err = startWorker("victims", o.Worker, order); err != nil {
		return err
	}
	aside := order
	aside.Unix = r.aside()
	if r.bystanders, err = startWorker("bystanders", o.Worker, aside); err != nil {
		return err
	}
	order.Role = roleNeighbour
	if r.foes[byNeighbour], err = startWorker("neighbour", o.Worker, order); err != nil {
		return err
	}
	order.Role = roleMallory
	r.foes[byMallory], err = startWorker("mallory", o.Worker, order)
	return err
}

func (r *rig) close() {
	for _, w := range []*worker{r.foes[0], r.foes[1], r.victims, r.bystanders} {
		if w != nil {
			w.Stop(patience)
		}
	}
	if r.witness != nil {
		r.witness.c.Close()
	}
	for _, p := range []*proc.Process{r.daemon, r.other} {
		if p != nil {
			_ = p.Signal(syscall.SIGTERM) // what an attack has done to it was found before
			p.Stop(patience)
		}
	}
	os.RemoveAll(r.dir)
}
