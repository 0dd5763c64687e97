package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lockify-dlm/lockify/cluster"
)

// ErrClosed: the membership was closed, or left.
var ErrClosed = errors.New("etcd: membership closed")

// membership is one start of the node as a member: a cluster.Provider.
type membership struct {
	cfg      Config
	client   clientv3.Config
	h        cluster.Handler
	ctx      context.Context // ends with the membership; its cause says why
	cancel   context.CancelCauseFunc
	done     chan struct{} // closed when the loop has returned
	instance atomic.Uint64
	last     atomic.Pointer[cluster.State] // told
	turn     chan struct{}                 // holds a token while a command is under way
	req      uint64                        // of the last command; of whoever has the turn

	mu      sync.Mutex
	told    chan struct{} // closed, and made anew, when a state has been told
	servers []*store      // those of etcd, a client for each, as far as they have answered

	// Of the loop; store also of whoever comes after told or done.
	store   *store
	wg      sync.WaitGroup
	joined  chan joined
	renewed chan renewal
	expired chan uint64 // Expire of this one has failed
}

// Join begins the membership of a node as instance, of which no earlier one has been of
// this node; with the low 16 bits 0 the node gets an id. If the cluster does not exist,
// this makes it. h hears what becomes of it. An error says what is wrong with cfg; what
// etcd says comes later.
func Join(cfg Config, instance uint64, h cluster.Handler) (cluster.Provider, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	cfg.complete()
	m := &membership{
		cfg: cfg, h: h, done: make(chan struct{}), turn: make(chan struct{}, 1), told: make(chan struct{}),
		joined: make(chan joined), renewed: make(chan renewal), expired: make(chan uint64),
	}
	c := m.joinCommand(instance)
	if _, err := cluster.DecodeCommand(c.Append(nil)); err != nil {
		return nil, err
	}
	var err error
	if m.client, err = cfg.client(); err != nil {
		return nil, err
	}
	m.instance.Store(instance)
	m.ctx, m.cancel = context.WithCancelCause(context.Background())
	go m.run()
	return m, nil
}

func (m *membership) joinCommand(instance uint64) cluster.Command {
	return cluster.Command{Kind: cluster.Join, Instance: instance, Features: m.cfg.Features, Addr: m.cfg.Addr}
}

func (m *membership) Open(ctx context.Context, space string, config []byte) error {
	return m.Do(ctx, cluster.Command{Kind: cluster.Open, Space: space, Config: config})
}

func (m *membership) Do(ctx context.Context, c cluster.Command) error {
	switch c.Kind {
	case cluster.Open, cluster.Close, cluster.NewView, cluster.Remove, cluster.Promote:
	default:
		return fmt.Errorf("%w: %s", cluster.ErrInvalid, c.Kind)
	}
	ctx, cancel := m.during(ctx)
	defer cancel()
	if err := m.await(ctx, 0); err != nil {
		return err
	}
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	m.req++
	c.Instance, c.From, c.Req = m.instance.Load(), m.instance.Load(), m.req
	out, err := m.store.change(ctx, c, m.store.withKey)
	if err != nil || c.Kind == cluster.Remove { // who removes itself is told nothing any more
		return err
	}
	return m.await(ctx, out.state.Version)
}

// withKey deletes the key of a node that is removed or leaves: its lease is renewed no
// more.
func (s *store) withKey(c *cluster.Command, _ uint16) []clientv3.Op {
	switch c.Kind {
	case cluster.Remove:
		return []clientv3.Op{clientv3.OpDelete(s.nodeKey(c.ID))}
	case cluster.Leave:
		return []clientv3.Op{clientv3.OpDelete(s.nodeKey(cluster.NodeOf(c.Instance)))}
	}
	return nil
}

// during gives a context that ends also with the membership, for its reason.
func (m *membership) during(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(m.ctx, func() { cancel(context.Cause(m.ctx)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// await returns when this version or a later one has been told.
func (m *membership) await(ctx context.Context, version uint64) error {
	for {
		m.mu.Lock()
		told := m.told
		m.mu.Unlock()
		if s := m.last.Load(); s != nil && s.Version >= version {
			return nil
		}
		select {
		case <-told:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tell tells a state, and whoever waits for it. On the loop.
func (m *membership) tell(s *cluster.State, views []cluster.SpaceView) {
	m.last.Store(s)
	m.h.Agreed(s, views)
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.told)
	m.told = make(chan struct{})
}

func (m *membership) State() *cluster.State { return m.last.Load() }

// Leave is always for good: there is no vote that could be kept.
func (m *membership) Leave(ctx context.Context, _ bool) error {
	if why := context.Cause(m.ctx); errors.Is(why, cluster.ErrMember) {
		return m.Close()
	} else if why != nil {
		return why
	}
	m.cancel(ErrClosed)
	select {
	case <-m.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if instance := m.instance.Load(); m.store != nil && cluster.NodeOf(instance) != 0 {
		c := cluster.Command{Kind: cluster.Leave, Instance: instance}
		if _, err := m.store.change(ctx, c, m.store.withKey); err != nil {
			return err
		}
	}
	return m.Close()
}

func (m *membership) Close() error {
	m.cancel(ErrClosed)
	<-m.done
	if m.store == nil {
		return nil
	}
	if err := m.store.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
