package lockify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/internal/member"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/internal/secure"
	"github.com/lockify-dlm/lockify/internal/sharedisk"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Peer is another node of the cluster.
type Peer struct {
	ID    uint16        // 1 to 65535
	Addr  string        // "host:port" or "unix:///path"
	Delay time.Duration // artificial one-way delay towards it, for experiments; up to 1 s
}

// Config fixes a node in this process. Membership is fixed, with Peers, or agreed, with
// NewCluster or Join on the first start, and later with a Data that has been in the cluster:
// then nodes come and go, see package cluster.
type Config struct {
	ID        uint16        // 1 to 65535, unique in the cluster
	Cluster   string        // name that all nodes share; default "lockify"
	Listen    string        // for other nodes: "host:port"; may be empty if there are none
	Peers     []Peer        // the other nodes; the smaller id dials
	Clients   []string      // where to serve clients: "unix:///path", "tcp://host:port"
	Transport string        // of clients and nodes: "netpoll" or "plain"; default: netpoll and plain
	Shards    int           // per lockspace, 1 to 256; default GOMAXPROCS, without Peers and a cluster 16 times as many
	IdleAfter time.Duration // how long an unused name stays cached, 1 ms to 24 h; default 10 s
	// CloseAfter is how long a lockspace stays open on this node when no program has it open any
	// more, 1 ms to 24 h, unless there is no room for another one; default 5 min. With Peers it
	// stays until all nodes have ended.
	CloseAfter time.Duration
	Compress   bool         // compress frames above 1 KiB between nodes that both can
	Logger     *slog.Logger // default slog.Default()

	// TracerProvider makes spans of OpenTelemetry for what this program, clients and other
	// nodes ask for as part of a trace that is sampled; see WithTracerProvider. nil: none.
	TracerProvider trace.TracerProvider

	TLS TLSFiles // certificates of this node: TCP with nodes and clients is by TLS; none: without

	// AllowPlaintextNetwork lets Listen and Clients be addresses that other machines reach also
	// without TLS. Nothing says then who comes: whoever reaches Listen is taken for a node, which
	// may do anything, and whoever reaches Clients may lock, or what Access lets Anyone do. Without
	// it only addresses of the loopback interface and Unix sockets are taken, which this machine
	// alone reaches.
	AllowPlaintextNetwork bool

	Access []AccessRule // what clients may do; see AccessRule for what none means

	NewCluster bool          // make a cluster if Data has none: on the first start of its first node
	Join       []string      // join the cluster of the nodes that listen there, any of them
	Advertise  string        // where others reach this node, with a port; default Listen
	Data       string        // directory, made if missing: the node can vote; needed for NewCluster. One that has been in a cluster needs neither that nor Join
	Lease      time.Duration // of a new cluster, 200 ms to 1 h: how long a node may act without the others; default 5 s
	Voters     int           // of a new cluster: how many nodes decide, 1, 3, 5 or 7; default 3
	FenceDisks []FenceDisk   // that the nodes share, the same on each: who is not a member any more is kept from them first
}

// AccessRule lets clients of a node do something. Rules only allow; the highest of several
// counts, and as soon as there is one, whom none names may do nothing (ErrDenied), but for
// root and the node's own user on Unix sockets. Without rules all may do everything, but for
// clients at addresses that other machines reach: with certificates these may do nothing,
// without (AllowPlaintextNetwork) all but administer.
type AccessRule = access.Rule

// What AccessRule.May can be; each has those before it. docs/security.md says what needs
// which.
const (
	MayRead       = access.Read
	MayShared     = access.Shared
	MayExclusive  = access.Exclusive
	MayAdminister = access.Administer
)

// FenceDisk is a namespace of an NVMe/TCP target with reservations. Each start of a node
// registers there, as the host HostID, before it joins.
type FenceDisk struct {
	Addr    string // host:port
	NQN     string // of the subsystem
	NSID    uint32 // of the namespace; 0: the only one
	HostNQN string // this node's name, if the target asks for it
}

// Node is a member of the cluster inside this process. Locks through it cost
// no socket.
type Node struct {
	n      *node.Node
	part   *member.Part // nil: membership is fixed
	data   *member.Data // nil without Config.Data
	calls  calls
	owners owners
	closed atomic.Bool
	tracer trace.Tracer // nil: no spans
}

// StartNode makes a node run. ctx bounds the start only. It does not wait for
// the other nodes: Ready does. Errors: ErrInvalid, and those of the network.
func StartNode(ctx context.Context, cfg Config) (_ *Node, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	t, err := node.NewTransport(cmp.Or(cfg.Transport, "netpoll"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	links := t
	if cfg.Transport == "" {
		links = engine.NewPlain() // there, who waits for another node's answer reads it himself
	}
	c := node.Config{
		ID: cfg.ID, Cluster: cfg.Cluster, Listen: cfg.Listen, Clients: cfg.Clients,
		Transport: t, Links: links, Shards: cfg.Shards, IdleAfter: cfg.IdleAfter, CloseAfter: cfg.CloseAfter, Compress: cfg.Compress, Logger: cfg.Logger,
	}
	policy := &access.Policy{Rules: cfg.Access, Self: uint32(os.Geteuid()), Plaintext: cfg.AllowPlaintextNetwork}
	c.Access = func() *access.Policy { return policy }
	if cfg.TLS.Given() {
		self := secure.Identity{Cluster: cmp.Or(cfg.Cluster, bounds.Cluster), Node: cfg.ID}
		if c.Secure, err = secure.OpenNode(cfg.TLS, self, cmp.Or(cfg.Logger, slog.Default())); err != nil {
			return nil, fmt.Errorf("%w: TLS: %w", ErrInvalid, err)
		}
		c.Transport = node.SecureTransport(c.Secure, cmp.Or(cfg.Logger, slog.Default()))
	}
	n := &Node{tracer: spans(cfg.TracerProvider)}
	if n.tracer != nil {
		c.Tracing = &node.Tracing{Tracer: n.tracer}
	}
	defer func() {
		if err != nil {
			n.closeParts()
		}
	}()
	var fixed *lockspace.View
	if cfg.agreed() {
		err = n.takePart(&cfg, &c)
	} else {
		fixed, err = fixedPeers(&cfg, &c)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if n.part != nil {
		if err = n.part.Register(ctx, c.Instance); err != nil {
			return nil, err
		}
	}
	if n.n, err = node.Start(ctx, c, fixed); err != nil {
		return nil, rootError(err)
	}
	if n.part != nil {
		n.part.Began(n.n)
	}
	return n, nil
}

// fixedPeers gives the view of a fixed membership.
func fixedPeers(cfg *Config, c *node.Config) (*lockspace.View, error) {
	if len(cfg.FenceDisks) > 0 {
		return nil, errors.New("without Join and NewCluster the membership is fixed, and nobody is fenced: want no FenceDisks")
	}
	ids := []uint16{cfg.ID}
	for _, p := range cfg.Peers {
		ids = append(ids, p.ID)
		c.Peers = append(c.Peers, node.Peer{ID: p.ID, Addr: p.Addr, Delay: p.Delay})
	}
	return cluster.Static(ids...)
}

// takePart prepares an agreed membership.
func (n *Node) takePart(cfg *Config, c *node.Config) (err error) {
	c.Instance = node.NewInstance(cfg.ID)
	if cfg.Data != "" {
		if n.data, err = member.OpenData(cfg.Data); err == nil {
			c.Instance, err = n.data.NextInstance(cfg.ID)
		}
		if err != nil {
			return err
		}
	}
	disks := make([]sharedisk.Disk, len(cfg.FenceDisks))
	for i, d := range cfg.FenceDisks {
		disks[i] = sharedisk.Disk(d)
	}
	n.part, err = member.Open(member.Config{
		ID: cfg.ID, Cluster: cmp.Or(cfg.Cluster, bounds.Cluster), Addr: cmp.Or(cfg.Advertise, cfg.Listen), NewCluster: cfg.NewCluster, Join: cfg.Join,
		Data: n.data, Lease: cmp.Or(cfg.Lease, bounds.Lease.Default), Voters: cmp.Or(cfg.Voters, bounds.Voters), Disks: disks, Transport: c.Transport, Logger: cmp.Or(cfg.Logger, slog.Default()),
	})
	if err == nil {
		n.part.Serve(c)
	}
	return err
}

// closeParts ends what is beside the node.
func (n *Node) closeParts() error {
	var err error
	if n.part != nil {
		err = n.part.Close()
	}
	if n.data != nil {
		n.data.Close()
	}
	return err
}

// Ready waits until the node is a member, and all others are connected. The error of a ctx that
// ends before it is a member says why it is none yet.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.n.Joined():
		if err := n.Err(); err != nil {
			return err
		}
		return n.n.Ready(ctx)
	case <-n.n.Over():
		return rootError(n.n.Why())
	case <-ctx.Done():
		err := context.Cause(ctx)
		if why := n.outside(); why != "" {
			err = fmt.Errorf("%w: not yet a member of the cluster: %s", err, why)
		}
		return err
	}
}

// outside says why the node is no member yet, "": it is one, or takes no part any more.
func (n *Node) outside() string {
	select {
	case <-n.n.Joined():
		return ""
	case <-n.n.Over():
		return ""
	default:
		return n.part.Outside()
	}
}

// Lost is closed when the node takes no part any more: its lease has ended without an
// answer of the cluster, it was removed, or it is closed. All its locks are lost by then. A node
// that is about to have no quorum, for its own disk, is told of by VoteLost before.
// Close it, and start another one.
func (n *Node) Lost() <-chan struct{} { return n.n.Over() }

// VoteLost is closed when this node votes no more, though it did: its disk is full or fails, or
// the others have decided what this version does not know. VoteErr says why. It goes on as a
// member, and its locks stay, as long as enough others vote; where none do, until its lease
// ends. It votes again when it was closed and started anew.
func (n *Node) VoteLost() <-chan struct{} {
	if n.part == nil {
		return nil
	}
	return n.part.Failed()
}

// VoteErr says why this node votes no more, nil: it does, or never did.
func (n *Node) VoteErr() error {
	if n.part == nil {
		return nil
	}
	if err := n.part.Failure(); err != nil {
		return fmt.Errorf("lockify: this node votes no more: %w", err)
	}
	return nil
}

// HostID gives the ID as which this program comes to disks by NVMe/TCP; see
// Session.HostID.
func (n *Node) HostID() [16]byte { return cluster.HostID(n.n.Instance()) }

// Err says why the node takes no part any more, nil: it does.
func (n *Node) Err() error {
	if err := n.n.Why(); err != nil {
		return rootError(err)
	}
	return nil
}

// ClientAddrs gives the addresses on which clients are served, with the ports
// that were chosen.
func (n *Node) ClientAddrs() []net.Addr { return n.n.ClientAddrs() }

// Stats gives what the node has done.
func (n *Node) Stats() node.Stats { return n.n.Stats() }

// Open opens a lockspace, 1 to 64 bytes, and makes it, with these properties, if no node has it
// open. Where nobody on this node has, the cluster has to agree, which takes some ms, one
// lockspace of a node after the other. There is room for 1024 on a node, and in the cluster. A node
// lets go of those that no program on it has open any more, after Config.CloseAfter; when all
// have, the properties are gone, and the next to open it may give others; until then, that is
// ErrMismatch. Where the membership is fixed (Peers) they stay until all nodes have ended. Errors:
// ErrInvalid, ErrMismatch, ErrLimit, ErrClosed.
func (n *Node) Open(ctx context.Context, name string, opts ...SpaceOption) (*Lockspace, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	props, err := spaceArgs(name, opts)
	if err != nil {
		return nil, err
	}
	sp, err := n.n.Open(ctx, name, props)
	if err != nil {
		err = rootError(err)
		if why := n.outside(); why != "" && errors.Is(err, ErrNoQuorum) { // it has no other reason
			err = fmt.Errorf("%w: %s", err, why)
		}
		return nil, err
	}
	s := &Lockspace{name: name, props: props, calls: &n.calls, tracer: n.tracer}
	s.here = &embedded{node: n, space: sp, owner: s}
	s.be = s.here
	if s.conflict = conflictOption(opts); s.conflict != nil {
		s.deaf = sp.Listen(conflictEar{s})
	}
	return s, nil
}

// rootError makes one of this package's errors of an inner one.
func rootError(err error) error {
	switch {
	case errors.Is(err, node.ErrInvalid), errors.Is(err, engine.ErrConfig):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, node.ErrMismatch):
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	case errors.Is(err, node.ErrLimit):
		return fmt.Errorf("%w: %w", ErrLimit, err)
	case errors.Is(err, node.ErrFenced):
		return fmt.Errorf("%w: %w", ErrNoQuorum, err)
	case errors.Is(err, node.ErrClosed):
		return ErrClosed
	}
	return err
}

// Close ends the node: the locks of this program and of the node's clients are
// lost and released, persistent ones and byte ranges too, delegated ranges are
// returned. What the node still holds back, and what others must still answer, is
// waited for until ctx ends; an error says that something was left, or that this was
// not the first Close. After a Close without one nothing at the other nodes belongs
// to this one.
func (n *Node) Close(ctx context.Context) error {
	if n.closed.Swap(true) {
		return ErrClosed
	}
	own := func(o node.Owner) bool {
		l, ok := o.(*owner)
		if ok {
			(*Lock)(l).takenAway(ErrClosed)
		}
		return ok
	}
	if n.part != nil {
		n.part.Unregister(ctx, n.n)
	}
	for _, s := range n.n.Spaces() {
		s.ReleaseAll(own)
	}
	return errors.Join(n.n.Close(ctx), n.closeParts())
}

// embedded is the backend of a lockspace in this process.
type embedded struct {
	node  *Node
	space *node.Space
	owner *Lockspace
}

// owner is a Lock as the node sees it.
type owner Lock

func (o *owner) Complete(id, tag uint64, c *lockspace.Completion) {
	l := (*Lock)(o)
	err := outcomeError(c.Status, c.Text, c.Cycle)
	if c.Status == wire.ShuttingDown || c.Status == wire.LostLock {
		switch text := l.at.(*embedded).node.n.Refusal(); {
		case text == "":
		case c.Status == wire.LostLock: // it was under way when the node was fenced
			err = fmt.Errorf("%w: %w", ErrLost, noQuorum(text))
		default:
			err = noQuorum(text)
		}
	}
	l.run(l.complete(id, err, c.Status, c))
}
func (o *owner) Blocking(_ uint64, mode Mode) { l := (*Lock)(o); l.run(l.blocked(mode)) }
func (o *owner) Confirmed(uint64)             { (*Lock)(o).claimClosed() }
func (o *owner) Lost(uint64)                  { (*Lock)(o).takenAway(ErrLost) }

func (e *embedded) holds() bool { return e.node.n.Holds() }

func (e *embedded) left() int64 { return e.node.n.LeaseLeft() }

func (e *embedded) why() error {
	if err := e.node.Err(); err != nil {
		return fmt.Errorf("%w: %v", ErrLost, err)
	}
	return ErrLost
}

func (e *embedded) newOwner() OwnerID { return e.node.owners.next() }

func (e *embedded) lock(l *Lock, mode Mode, o Option, later bool) begun {
	return e.lockHere(l, mode, &o, later)
}

// lockHere is lock for options that are not copied.
func (e *embedded) lockHere(l *Lock, mode Mode, o *Option, later bool) (b begun) {
	l.at = e
	if e.node.closed.Load() {
		l.run(l.complete(0, ErrClosed, wire.ShuttingDown, &lockspace.Completion{Mode: lockspace.NoMode}))
		return b
	}
	q := lockspace.Request{
		Mode: mode, Flags: o.flags, Owner: uint64(o.owner), User: (*owner)(l), Tag: l.req, Here: &l.grant,
	}
	var asked uint16
	if o.span != nil {
		e.space.LockTraced(&q, l.name, o.wait, &l.id, o.inTrace())
	} else {
		b.over, asked = e.space.LockHere(&q, l.name, o.wait, &l.id)
	}
	// A Close that has begun meanwhile may have looked before the lock was there.
	switch {
	case e.node.closed.Load():
		l.takenAway(ErrClosed)
	case e.owner.closed.Load():
		l.released()
	default:
		b.reads = e.watch(asked, later || hurried(o))
		return b
	}
	e.space.Unlock((*owner)(l), l.id, lockspace.ForceUnlock, nil, 0)
	return b
}

// hurried says that the node may end the operation while somebody reads.
func hurried(o *Option) bool { return o.wait != 0 && o.wait < readTime }

// watch has a caller who waits read what the node that was asked answers, if he can. not: he does not
// wait, or not there.
func (e *embedded) watch(asked uint16, not bool) reader {
	if asked == 0 || not {
		return nil
	}
	if r := e.node.n.WatchPeer(asked); r != nil {
		return r
	}
	return nil
}

func (e *embedded) convert(l *Lock, mode Mode, o Option, later bool) begun {
	asked := e.space.Convert((*owner)(l), l.id, mode, o.flags, o.wait, o.value, l.req, o.inTrace())
	return begun{reads: e.watch(asked, later || hurried(&o))}
}

func (e *embedded) unlock(l *Lock, o Option, _ bool) begun {
	if o.span != nil {
		e.space.UnlockTraced((*owner)(l), l.id, o.flags, o.value, l.req, o.inTrace())
		return begun{}
	}
	return begun{over: e.unlockHere(l, o.flags, o.value)}
}

func (e *embedded) unlockHere(l *Lock, flags uint32, value []byte) (over bool) {
	return e.space.UnlockHere((*owner)(l), l.id, flags, value, l.req)
}

func (e *embedded) cancel(id, req uint64) { e.space.Cancel(nil, id, req) }

func (e *embedded) hurry() { e.node.n.Hurry() }

// full says that another node does not keep up.
func (e *embedded) full() bool { return e.node.n.Congested() }

// close unlocks what this Lockspace's locks still hold, and withdraws what
// they wait for.
func (e *embedded) close(ctx context.Context) error {
	mine := func(o node.Owner) bool {
		l, ok := o.(*owner)
		return ok && l.space == e.owner
	}
	e.space.Leave(mine)
	e.space.Close()
	return ctx.Err()
}

func (e *embedded) purge(node uint16, session uint64, done func(error)) {
	if e.node.closed.Load() {
		done(ErrClosed)
		return
	}
	e.space.Purge(node, session, func(st wire.Status) {
		text := ""
		if st == wire.NoNode {
			text = fmt.Sprintf("node %d", node)
		}
		done(statusError(st, text))
	})
}

// wait waits for room on the links to other nodes.
func (e *embedded) wait(ctx context.Context) error {
	if e.node.closed.Load() {
		return ErrClosed
	}
	return e.node.n.Wait(ctx)
}

func (e *embedded) barrier(done func(error)) {
	e.node.n.Barrier(func(err error) {
		if err != nil {
			err = ErrClosed
		}
		done(err)
	})
}
