package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// membership is one start of the node as a member: a cluster.Provider.
type membership struct {
	a      *Agent
	h      cluster.Handler
	state  atomic.Pointer[cluster.State]
	over   chan struct{} // closed when the membership has ended, or is closed
	why    error         // then
	teller teller

	// Of the loop.
	pure    *cluster.Member
	version uint64 // told
	lease   int64  // told
	ended   bool
	said    bool                  // why it is not let in yet
	leaving bool                  // of its own will: that it is no member any more is what it wants
	waits   map[uint64]chan error // commands, by number
}

// Join begins a membership as instance, of which no earlier one has been of this node.
// h hears what becomes of it. There is one at a time: the last one must have ended or
// be closed.
func (a *Agent) Join(instance uint64, h cluster.Handler) (cluster.Provider, error) {
	m := &membership{a: a, h: h, over: make(chan struct{}), waits: map[uint64]chan error{}}
	var err error
	if e := a.do(context.Background(), func() { err = m.begin(instance) }); e != nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// begin makes m the agent's membership. On the loop.
func (m *membership) begin(instance uint64) (err error) {
	a := m.a
	if a.member != nil {
		return fmt.Errorf("%w: the last membership goes on", cluster.ErrInvalid)
	}
	cfg := cluster.MemberConfig{
		Instance: instance, Features: a.cfg.Features, Addr: a.cfg.Addr, Retry: int64(a.cfg.retry()),
	}
	if a.store != nil {
		cfg.Store = a.store.Number()
		_, cfg.Cluster = a.store.Node()
	}
	var others []string
	for _, addr := range slices.Concat(a.cfg.Join, a.known) {
		c := cluster.Contact{Addr: addr}
		if addr == a.cfg.Addr {
			c.ID = a.cfg.ID
		} else if !slices.Contains(others, addr) {
			others = append(others, addr)
		}
		cfg.Contacts = append(cfg.Contacts, c)
	}
	if m.pure, err = cluster.NewMember(cfg); err == nil {
		a.member = m
		a.outside.begin(others)
		m.teller.start()
	}
	return err
}

// settle tells what has come of a call of the pure part. On the loop.
func (m *membership) settle() {
	if m.ended {
		return
	}
	if l := m.pure.Lease(); l > m.lease {
		m.lease = l
		m.h.Lease(l)
	}
	views := m.pure.Views()
	if s := m.pure.State(); s != nil && (s.Version != m.version || m.state.Load() == nil) {
		m.version = s.Version
		s = s.Clone()
		m.state.Store(s)
		m.a.outside.end()
		m.belongs(s.Cluster)
		m.a.knows(s)
		m.teller.tell(func() { m.h.Agreed(s, views) })
	}
	for _, answer := range m.pure.Answers() {
		if wait := m.waits[answer.Req]; wait != nil { // nobody waits for the join
			wait <- answer.Err
			delete(m.waits, answer.Req)
		}
	}
	phase, why := m.pure.Phase()
	if phase == cluster.Joining && why != nil && !m.said {
		m.said = true
		m.a.outside.set(why.Error())
		m.a.cfg.Logger.Warn("not let in yet", "reason", why)
	}
	if phase == cluster.Ended {
		m.end(why)
		last := func() { m.h.Ended(why) }
		if m.leaving && errors.Is(why, cluster.ErrMember) {
			last = func() {}
		}
		m.teller.tellLast(last)
	}
}

// belongs keeps in the store which cluster this node is in.
func (m *membership) belongs(number uint64) {
	if m.a.store == nil {
		return
	}
	if _, known := m.a.store.Node(); known != number {
		if err := m.a.store.Belongs(m.a.cfg.ID, number); err != nil {
			m.a.cfg.Logger.Error("the cluster cannot be stored", "err", err)
		}
	}
}

// end makes this no membership any more. On the loop.
func (m *membership) end(why error) {
	if m.ended {
		return
	}
	m.ended, m.why = true, why
	m.a.member = nil
	close(m.over)
	for _, w := range m.waits {
		w <- why
	}
	clear(m.waits)
}

func (m *membership) Open(ctx context.Context, space string, config []byte) error {
	return m.Do(ctx, cluster.Command{Kind: cluster.Open, Space: space, Config: config})
}

func (m *membership) Do(ctx context.Context, c cluster.Command) error {
	wait := make(chan error, 1)
	err := m.a.do(ctx, func() {
		if m.ended {
			wait <- m.why
			return
		}
		req, out, err := m.pure.Ask(engine.BootTime(), c)
		if err != nil {
			wait <- err
			return
		}
		m.waits[req] = wait
		m.a.send(out)
		m.settle()
	})
	if err != nil {
		return err
	}
	select {
	case err := <-wait:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (m *membership) State() *cluster.State { return m.state.Load() }

func (m *membership) Leave(ctx context.Context, forGood bool) error {
	if err := m.a.do(ctx, func() { m.leaving = true }); err != nil {
		return err
	}
	err := m.Do(ctx, cluster.Command{Kind: cluster.Leave, KeepVote: !forGood})
	if err != nil && !errors.Is(err, cluster.ErrMember) {
		return err
	}
	if forGood {
		m.a.giveUpVote(ctx)
	}
	return m.Close()
}

func (m *membership) Close() error {
	_ = m.a.do(context.Background(), func() { m.end(ErrClosed) })
	m.teller.stop()
	return nil
}

// teller calls a Handler, one call after the other, without keeping the loop.
type teller struct {
	mu    sync.Mutex
	cond  *sync.Cond
	calls []func()
	ends  bool // no more come
	wg    sync.WaitGroup
}

func (t *teller) start() {
	t.cond = sync.NewCond(&t.mu)
	t.wg.Go(t.run)
}

func (t *teller) run() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		for len(t.calls) == 0 && !t.ends {
			t.cond.Wait()
		}
		if len(t.calls) == 0 {
			return
		}
		f := t.calls[0]
		t.calls = t.calls[1:]
		t.mu.Unlock()
		f()
		t.mu.Lock()
	}
}

func (t *teller) tell(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ends {
		t.calls = append(t.calls, f)
		t.cond.Signal()
	}
}

// tellLast forgets what has not been told, and calls f as the last.
func (t *teller) tellLast(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls, t.ends = []func(){f}, true
	t.cond.Signal()
}

// stop returns when no call runs, and none will.
func (t *teller) stop() {
	t.mu.Lock()
	t.calls, t.ends = nil, true
	t.cond.Signal()
	t.mu.Unlock()
	t.wg.Wait()
}
