package agent

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/cluster/store"
	"github.com/lockify-dlm/lockify/engine"
)

// ErrClosed: the agent is closed.
var ErrClosed = errors.New("agent: closed")

// Agent runs a node's part in the agreement.
type Agent struct {
	cfg    Config
	store  *store.Store // nil: no vote
	inbox  chan letter
	unread atomic.Int64 // bytes in inbox
	calls  chan func()
	failed failure // of the voter, which cannot go on
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	outside outside

	// Of the loop.
	server *cluster.Server   // nil: no vote
	member *membership       // nil: none
	local  []letter          // what this node has said to itself
	bars   map[uint64]string // instances that are being barred, and what is in the way
	known  []string          // where other members are, or were last
}

// How much mail waits for the loop at most.
const (
	maxLetters = 1024
	maxUnread  = 64 << 20 // bytes: a snapshot has a few at most
)

// letter is a payload that has come.
type letter struct {
	from    uint16
	addr    string
	payload []byte
}

// Open opens the store and starts the voter, if the node has them. Mail is taken from
// now on.
func Open(cfg Config) (*Agent, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &Agent{cfg: cfg, inbox: make(chan letter, maxLetters), calls: make(chan func()), failed: failure{over: make(chan struct{})}, bars: map[uint64]string{}}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	if err := a.openStore(); err != nil {
		return nil, err
	}
	a.wg.Go(a.loop)
	return a, nil
}

func (a *Agent) openStore() (err error) {
	if a.cfg.Store == "" {
		return a.needContacts(nil)
	}
	if a.store, err = store.Open(a.cfg.Store, store.Options{Node: a.cfg.ID}); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			a.store.Close()
		}
	}()
	if a.cfg.Found && a.store.Empty() {
		if err := a.found(); err != nil {
			return err
		}
	}
	if err := a.joinsOwn(); err != nil {
		return err
	}
	a.known = a.store.Members()
	a.server, err = cluster.NewServer(a.cfg.voter(a.store.Number(), a.raftLog), a.store)
	if err != nil {
		return err
	}
	return a.needContacts(a.server.State())
}

// joinsOwn refuses to join others with the store of a cluster that this node is all of: it
// would go on as that one, and never ask them.
func (a *Agent) joinsOwn() error {
	if a.cfg.Found || len(a.cfg.Join) == 0 || slices.Contains(a.cfg.Join, a.cfg.Addr) {
		return nil
	}
	alone, err := cluster.Alone(a.store, a.cfg.ID)
	if err != nil || !alone {
		return err
	}
	return fmt.Errorf("%w: %s is of a cluster of its own, which no other node has been in: move it away to join that of %s, or drop join",
		cluster.ErrInvalid, a.cfg.Store, strings.Join(a.cfg.Join, ", "))
}

// asksNobodyElse refuses to join this node itself when it is in no cluster: nobody would answer.
func (a *Agent) asksNobodyElse() error {
	if len(a.cfg.Join) == 0 || len(a.known) > 0 || slices.ContainsFunc(a.cfg.Join, func(addr string) bool { return addr != a.cfg.Addr }) {
		return nil
	}
	where := "it has no data directory"
	if a.cfg.Store != "" {
		where = a.cfg.Store + " has none"
	}
	return fmt.Errorf("%w: join (--join) names only this node itself, %s, which is in no cluster, as %s: name any member there, or make a cluster with new_cluster (--new-cluster)",
		cluster.ErrInvalid, a.cfg.Addr, where)
}

// needContacts adds what the store knows to whom there is to ask.
func (a *Agent) needContacts(s *cluster.State) error {
	if s == nil || len(s.Voters) == 0 {
		if err := a.asksNobodyElse(); err != nil {
			return err
		}
	}
	if s != nil {
		for _, v := range s.Voters {
			if v.ID == a.cfg.ID {
				a.cfg.Join = append(a.cfg.Join, a.cfg.Addr)
			} else {
				a.cfg.Join = append(a.cfg.Join, v.Addr)
			}
		}
	}
	if len(a.cfg.Join)+len(a.known) == 0 {
		return fmt.Errorf("%w: nobody to join, and no new cluster is to be made: set join (--join) to the address of any member", cluster.ErrInvalid)
	}
	return nil
}

// knows keeps where other members are, those with a vote first: whoever was to be joined
// may be gone when this node has to join again. They are few, since each is asked in turn.
func (a *Agent) knows(s *cluster.State) {
	const most = 16
	var addrs []string
	add := func(addr string) {
		if len(addrs) < most && addr != a.cfg.Addr && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	for _, v := range s.Voters {
		add(v.Addr)
	}
	for i := range s.Nodes {
		add(s.Nodes[i].Addr)
	}
	if len(addrs) == 0 || slices.Equal(addrs, a.known) {
		return // with nobody else there, those of before may come back
	}
	a.known = addrs
	if a.store == nil {
		return
	}
	if err := a.store.SetMembers(addrs); err != nil {
		a.cfg.Logger.Error("the addresses of the members cannot be stored", "err", err)
	}
}

// found makes a cluster. Its number is kept last: a store with a number and nothing else is of
// a node that has joined others, and can never become the first of a cluster.
func (a *Agent) found() error {
	if _, known := a.store.Node(); known != 0 {
		return fmt.Errorf("%w cluster: %s is of cluster %x, in which this node has no vote: join that one, or move the file away to make a new one", store.ErrForeign, a.cfg.Store, known)
	}
	id := random()
	err := cluster.Found(a.store, cluster.Birth{
		Cluster: id, Terms: a.cfg.Terms, Want: a.cfg.Voters, Store: a.store.Number(), Addr: a.cfg.Addr,
	})
	if err == nil {
		err = a.store.Belongs(a.cfg.ID, id)
	}
	if err == nil {
		a.cfg.Logger.Info("new cluster", "name", a.cfg.Cluster, "number", fmt.Sprintf("%#x", id), "voters", a.cfg.Voters, "lease", time.Duration(a.cfg.Terms.Lease))
		if others := slices.DeleteFunc(slices.Clone(a.cfg.Join), func(addr string) bool { return addr == a.cfg.Addr }); len(others) > 0 {
			a.cfg.Logger.Warn("a new cluster was to be made, so nobody was asked: those to join are in it only if they join this node", "join", others)
		}
	}
	return err
}

// random gives a number that is not 0.
func random() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:]) | 1
}

func (a *Agent) raftLog(format string, args ...any) {
	a.cfg.Logger.Debug(fmt.Sprintf("raft: "+format, args...))
}

// Raft gives the id of who leads as this voter knows, 0: nobody; and the ids of those
// whose votes count by now: a vote that has been agreed on counts when the node has what
// it is to vote about. Both are empty on a node that is no voter.
func (a *Agent) Raft() (leader uint16, voting []uint16) {
	_ = a.do(context.Background(), func() {
		if a.server != nil {
			leader, _ = a.server.Leader()
			for _, v := range a.server.Voters() {
				voting = append(voting, cluster.NodeOf(v))
			}
		}
	})
	return leader, voting
}

// Receive takes mail. sender is the node that has proven to have sent it, 0: nobody has
// proven anything. It keeps nothing of payload, and does not wait.
func (a *Agent) Receive(sender uint16, payload []byte) {
	e, err := decodeEnvelope(payload)
	switch {
	case err != nil:
		a.cfg.Logger.Warn("mail dropped", "err", err)
	case sender != 0 && e.from != sender:
		a.cfg.Logger.Warn("mail dropped that one node has sent in the name of another", "node", sender, "says", e.from)
	case e.cluster != a.cfg.Cluster:
		a.otherCluster(&e)
	case e.kind == isRefusal:
		why := string(e.payload[:min(len(e.payload), maxReason)])
		a.outside.set(fmt.Sprintf("node %d at %s: %s", e.from, e.addr, why))
		a.warnOnce("another node refuses us", "node", e.from, "addr", e.addr, "reason", why)
	case e.from == a.cfg.ID && e.addr != a.cfg.Addr:
		a.sameID(&e)
	default:
		if e.from == a.cfg.ID {
			a.outside.asksSelf()
		}
		a.put(&e)
	}
}

// put leaves mail to the loop. What there is no room for is lost, as mail may be.
func (a *Agent) put(e *envelope) {
	size := int64(len(e.payload))
	if a.unread.Add(size) <= maxUnread {
		select {
		case a.inbox <- letter{e.from, e.addr, append([]byte(nil), e.payload...)}:
			return
		default:
		}
	}
	a.unread.Add(-size)
}

func (a *Agent) otherCluster(e *envelope) {
	a.warnOnce("mail of another cluster dropped", "node", e.from, "addr", e.addr, "cluster", e.cluster, "here", a.cfg.Cluster)
	if e.kind == isMessage {
		a.refuse(e, fmt.Appendf(nil, "this node is of cluster %q, you are of %q", a.cfg.Cluster, e.cluster))
	}
}

// sameID refuses mail of another node with this one's id, to which no answer by the id would go.
func (a *Agent) sameID(e *envelope) {
	a.warnOnce("mail of another node with this one's id dropped", "id", e.from, "addr", e.addr, "here", a.cfg.Addr)
	a.refuse(e, fmt.Appendf(nil, "id %d is in use by this node: each node needs its own", a.cfg.ID))
}

func (a *Agent) refuse(e *envelope, why []byte) {
	r := envelope{kind: isRefusal, from: a.cfg.ID, cluster: e.cluster, addr: a.cfg.Addr, payload: why}
	a.cfg.Mail.Send(e.addr, r.append(nil))
}

// loop is the goroutine that calls the pure parts. Each reading of the clock is made
// when what it is for is in hand.
func (a *Agent) loop() {
	tick := time.NewTicker(a.cfg.tick() / 2)
	defer tick.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case l := <-a.inbox:
			a.unread.Add(-int64(len(l.payload)))
			a.take(l)
		case f := <-a.calls:
			f()
		case <-tick.C:
			a.tick()
		}
		for len(a.local) > 0 {
			l := a.local[0]
			a.local = a.local[1:]
			a.take(l)
		}
	}
}

func (a *Agent) tick() {
	if a.server != nil {
		a.sent(a.server.Tick(engine.BootTime()))
	}
	if m := a.member; m != nil {
		a.send(m.pure.Tick(engine.BootTime()))
		m.settle()
	}
}

// take gives a payload to whom it is for.
func (a *Agent) take(l letter) {
	m := a.member
	switch {
	case cluster.ForServer(l.payload) && a.server != nil:
		a.sent(a.server.Deliver(engine.BootTime(), l.from, l.addr, l.payload))
	case m == nil:
	case cluster.ForServer(l.payload):
		a.send(m.pure.Refer(engine.BootTime(), l.from, l.addr, l.payload))
	default:
		a.send(m.pure.Deliver(engine.BootTime(), l.payload))
		m.settle()
	}
}

// sent does what a voter wants, if it can go on.
func (a *Agent) sent(out cluster.Output, err error) {
	if err != nil {
		a.cfg.Logger.Error("this voter cannot go on", "err", err)
		a.server = nil
		a.failed.is(err)
		return
	}
	a.send(out)
	for _, instance := range out.Fence {
		a.wg.Go(func() { a.fence(instance) })
	}
	for _, instance := range out.Bar {
		if _, running := a.bars[instance]; !running {
			a.bars[instance] = ""
			a.wg.Go(func() { a.bar(instance) })
		}
	}
}

// giveUpVote goes on as a voter until this node's vote counts no more, for the time of a
// lease at most. Of two voters both have to agree on that: whoever went at once would
// leave the other one without a majority for ever.
func (a *Agent) giveUpVote(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(a.cfg.Terms.Lease), errVoteCounts)
	defer cancel()
	look := time.NewTicker(a.cfg.tick())
	defer look.Stop()
	for votes := true; votes; {
		if a.do(ctx, func() { votes = a.server != nil && a.server.Votes() }) != nil || !votes {
			break
		}
		select {
		case <-look.C:
		case <-ctx.Done():
		}
	}
	if err := context.Cause(ctx); err != nil {
		a.cfg.Logger.Warn("this node has left, but its vote may still count", "err", err)
	}
}

var errVoteCounts = errors.New("the others have not agreed that it does not, in the time of a lease")

func (a *Agent) fence(instance uint64) {
	log := a.cfg.Logger.With("node", cluster.NodeOf(instance), "instance", fmt.Sprintf("%#x", instance))
	log.Warn("fencing a node that is silent")
	if err := a.cfg.Fence(a.ctx, instance); err != nil {
		log.Error("fencing has failed; the end of its lease is waited for", "err", err)
		return
	}
	log.Info("fenced")
	_ = a.do(a.ctx, func() {
		if a.server != nil {
			a.sent(a.server.FenceDone(engine.BootTime(), instance))
		}
	})
}

// send posts messages. Those for this node are taken by the loop.
func (a *Agent) send(out cluster.Output) {
	for _, m := range out.Messages {
		addr := a.addrOf(m)
		switch {
		case a.here(m, addr):
			a.local = append(a.local, letter{a.cfg.ID, a.cfg.Addr, m.Payload})
		case addr != "":
			e := envelope{isMessage, a.cfg.ID, a.cfg.Cluster, a.cfg.Addr, m.Payload}
			a.cfg.Mail.Send(addr, e.append(nil))
		}
	}
}

// here says that a message is for this node, by its id or its address. This id at another
// address is that of another node, by mistake, unless this one has a vote: whoever refers to it
// may know an address of before.
func (a *Agent) here(m cluster.Message, addr string) bool {
	switch m.To {
	case 0:
		return addr == a.cfg.Addr
	case a.cfg.ID:
		return addr == "" || addr == a.cfg.Addr || a.server != nil && a.server.State().Voter(a.cfg.ID) != nil
	}
	return false
}

// addrOf gives where a message goes, "": nobody knows.
func (a *Agent) addrOf(m cluster.Message) string {
	if m.Addr != "" || m.To == 0 {
		return m.Addr
	}
	for _, s := range a.states() {
		if n := s.Node(m.To); n != nil {
			return n.Addr
		}
		if v := s.Voter(m.To); v != nil {
			return v.Addr
		}
	}
	return ""
}

func (a *Agent) states() (all []*cluster.State) {
	if a.server != nil {
		all = append(all, a.server.State())
	}
	if a.member != nil && a.member.pure.State() != nil {
		all = append(all, a.member.pure.State())
	}
	return all
}

// do runs f on the loop, and waits for it.
func (a *Agent) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case a.calls <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-a.ctx.Done():
		return ErrClosed
	}
}

// Close ends the voter and what is left of a membership. A leader gives way first.
func (a *Agent) Close() error {
	var m *membership
	_ = a.do(context.Background(), func() {
		if a.server != nil {
			a.sent(a.server.Resign(engine.BootTime()))
		}
		m = a.member
	})
	var err error
	if m != nil {
		err = m.Close()
	}
	a.cancel()
	a.wg.Wait()
	if a.store != nil {
		err = errors.Join(err, a.store.Close())
	}
	return err
}
