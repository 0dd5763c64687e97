package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/etcdtest"
)

// ear is a Handler that keeps what it hears. That it comes in order is for package
// clustertest to see.
type ear struct {
	mu    sync.Mutex
	views []string // "space epoch: members", and when
	at    []int64
	lease int64
	ended chan error
	news  chan struct{} // a token: something was heard
}

func newEar() *ear { return &ear{ended: make(chan error, 1), news: make(chan struct{}, 1)} }

func (e *ear) Lease(until int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lease = until
	e.tell()
}

func (e *ear) Agreed(_ *cluster.State, views []cluster.SpaceView) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range views {
		e.views = append(e.views, fmt.Sprintf("%s %d: %d", v.Space, v.Epoch, len(v.Members)))
		e.at = append(e.at, engine.BootTime())
	}
	e.tell()
}

func (e *ear) Ended(reason error) { e.ended <- reason }

func (e *ear) tell() {
	select {
	case e.news <- struct{}{}:
	default:
	}
}

func (e *ear) until() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lease
}

// await waits until ok, which is called with what was heard.
func (e *ear) await(t *testing.T, ok func() bool) {
	t.Helper()
	for {
		e.mu.Lock()
		done := ok()
		e.mu.Unlock()
		if done {
			return
		}
		select {
		case <-e.news:
		case why := <-e.ended:
			t.Fatalf("ended: %v", why)
		case <-within(t).Done():
			e.mu.Lock()
			defer e.mu.Unlock()
			t.Fatalf("waited in vain: %q", e.views)
		}
	}
}

// sees waits for a view, and gives the time when it was told.
func (e *ear) sees(t *testing.T, view string) (at int64) {
	t.Helper()
	e.await(t, func() bool {
		for i, v := range e.views {
			if v == view {
				at = e.at[i]
			}
		}
		return at != 0
	})
	return at
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience*6)
	t.Cleanup(cancel)
	return ctx
}

// start begins a membership in a backend's cluster, and waits until it is there.
func (b *backend) start(t *testing.T, instance uint64) (*ear, cluster.Provider) {
	t.Helper()
	e := newEar()
	p := b.Join(t, instance, e)
	t.Cleanup(func() { _ = p.Close() })
	e.await(t, func() bool { return e.lease != 0 && p.State() != nil })
	return e, p
}

func (b *backend) client(t *testing.T) *store {
	t.Helper()
	cfg, err := (&Config{Endpoints: []string{"http://" + b.addr}}).client()
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientv3.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &store{c, DefaultPrefix + "/" + b.cfg.Cluster + "/", b.cfg.Terms}
}

func open(t *testing.T, p cluster.Provider, space string) {
	t.Helper()
	if err := p.Open(within(t), space, nil); err != nil {
		t.Fatal(err)
	}
}

// TestFaults: what goes wrong with etcd, and what does not come of it.
func TestFaults(t *testing.T) {
	server := etcdtest.Start(t)
	for _, c := range []struct {
		name string
		test func(t *testing.T, b *backend)
	}{
		{"LostAnswers", testLostAnswers},
		{"RevokedLease", testRevokedLease},
		{"ForeignState", testForeignState},
		{"DeletedState", testDeletedState},
		{"ReplacedState", testReplacedState},
		{"GivenIDs", testGivenIDs},
		{"Key", testKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, newBackend(t, server))
		})
	}
}

// testLostAnswers: a command whose answer gets lost is carried out once.
func testLostAnswers(t *testing.T, b *backend) {
	var calls atomic.Int64
	b.cfg.dial = []grpc.DialOption{grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		if strings.HasSuffix(method, "/Txn") && err == nil && calls.Add(1)%2 == 1 {
			return status.Error(codes.Unavailable, "the answer is lost")
		}
		return err
	})}
	e, p := b.start(t, 1<<16|1)
	open(t, p, "s")
	for range 3 {
		if err := p.Do(within(t), cluster.Command{Kind: cluster.NewView, Space: "s"}); err != nil {
			t.Fatal(err)
		}
	}
	e.sees(t, "s 4: 1")
	if s := p.State(); s.Version != 5 { // with the join
		t.Errorf("version %d after five commands", s.Version)
	}
	lost := calls.Load()
	if err := p.Leave(within(t), true); err != nil {
		t.Fatal(err)
	}
	if lost == 0 || calls.Load() == lost {
		t.Error("no answer was lost")
	}
}

// testRevokedLease: what ends an etcd lease early, ends a membership, but not before
// its own lease has ended is there a view without it.
func testRevokedLease(t *testing.T, b *backend) {
	e1, p1 := b.start(t, 2<<16|1)
	e2, p2 := b.start(t, 3<<16|2)
	open(t, p1, "s")
	open(t, p2, "s")
	e1.sees(t, "s 2: 2")
	admin := b.client(t)
	kv, err := admin.Get(within(t), admin.nodeKey(2))
	if err != nil || len(kv.Kvs) != 1 {
		t.Fatalf("%v, %v", kv, err)
	}
	if _, err := admin.Revoke(within(t), clientv3.LeaseID(kv.Kvs[0].Lease)); err != nil {
		t.Fatal(err)
	}
	if why := <-e2.ended; !errors.Is(why, cluster.ErrMember) {
		t.Errorf("ended: %v", why)
	}
	if at := e1.sees(t, "s 3: 1"); at < e2.until() {
		t.Errorf("a view %d ms before the lease has ended", (e2.until()-at)/1e6)
	}
}

// TestCompaction: others use the etcd cluster too, and it is compacted. Who has missed
// nothing goes on. What etcd forgets is missed in all its users' tests, so that this
// server is not that of TestFaults.
func TestCompaction(t *testing.T) {
	b := newBackend(t, etcdtest.Start(t))
	e1, p1 := b.start(t, 2<<16|1)
	e2, p2 := b.start(t, 3<<16|2)
	open(t, p1, "s")
	open(t, p2, "s")
	e1.sees(t, "s 2: 2")
	e2.sees(t, "s 2: 2")
	b.Cut(2, true)
	open(t, p1, "other") // one version, which a look at the present shows
	b.compact(t)
	b.Cut(2, false)
	e2.await(t, func() bool { return p2.State().Space("other") != nil })
	open(t, p1, "third")
	if err := p2.Do(within(t), cluster.Command{Kind: cluster.NewView, Space: "s"}); err != nil {
		t.Fatal(err)
	}
	e1.sees(t, "s 3: 2")
	e2.sees(t, "s 3: 2")
}

// compact lets etcd forget all but the present.
func (b *backend) compact(t *testing.T) {
	t.Helper()
	c := b.client(t)
	for range 2 { // keys of others
		if _, err := c.Put(within(t), "/others", "x"); err != nil {
			t.Fatal(err)
		}
	}
	put, err := c.Put(within(t), "/others", "x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Compact(within(t), put.Header.Revision, clientv3.WithCompactPhysical())
	if err != nil {
		t.Fatal(err)
	}
}

// TestCompactedViews: who has missed what etcd has forgotten does not go on.
func TestCompactedViews(t *testing.T) {
	server := etcdtest.Start(t)
	for _, c := range []struct {
		name   string
		missed func(t *testing.T, b *backend, other cluster.Provider)
		why    func(error) bool
	}{
		{"Views", func(t *testing.T, _ *backend, other cluster.Provider) {
			for _, space := range []string{"a", "b", "c"} {
				open(t, other, space)
			}
		}, func(err error) bool { return strings.Contains(err.Error(), "views missed") }},
		{"Delete", func(t *testing.T, b *backend, _ cluster.Provider) {
			c := b.client(t)
			if _, err := c.Delete(within(t), c.root, clientv3.WithPrefix()); err != nil {
				t.Fatal(err)
			}
		}, func(err error) bool { return errors.Is(err, cluster.ErrMember) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBackend(t, server)
			_, p1 := b.start(t, 2<<16|1)
			e2, p2 := b.start(t, 3<<16|2)
			open(t, p1, "s")
			open(t, p2, "s")
			b.Cut(2, true)
			c.missed(t, b, p1)
			b.compact(t)
			b.Cut(2, false)
			if why := <-e2.ended; why == nil || !c.why(why) {
				t.Errorf("ended: %v", why)
			}
		})
	}
}

// testForeignState: what cannot be read is told, and left alone.
func testForeignState(t *testing.T, b *backend) {
	c := b.client(t)
	if _, err := c.Put(within(t), c.stateKey(), "\x02of a newer version"); err != nil {
		t.Fatal(err)
	}
	e := newEar()
	p := b.Join(t, 1<<16|1, e)
	defer p.Close()
	if why := <-e.ended; !errors.Is(why, errForeign) || !strings.Contains(why.Error(), c.stateKey()) {
		t.Errorf("ended: %v", why)
	}
	if err := p.Open(within(t), "s", nil); !errors.Is(err, errForeign) {
		t.Errorf("open: %v", err)
	}
	if kv, err := c.Get(within(t), c.stateKey()); err != nil || string(kv.Kvs[0].Value) != "\x02of a newer version" {
		t.Errorf("%v, %v", kv, err)
	}
}

// testDeletedState: somebody deletes what was agreed.
func testDeletedState(t *testing.T, b *backend) {
	e, p := b.start(t, 1<<16|1)
	open(t, p, "s")
	c := b.client(t)
	if _, err := c.Delete(within(t), c.root, clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	if why := <-e.ended; !errors.Is(why, cluster.ErrMember) {
		t.Errorf("ended: %v", why)
	}
}

// testReplacedState: somebody writes what does not follow from what there was.
func testReplacedState(t *testing.T, b *backend) {
	e, p := b.start(t, 1<<16|1)
	s := p.State().Clone()
	s.Version += 2
	c := b.client(t)
	if _, err := c.Put(within(t), c.stateKey(), string(s.Append(nil))); err != nil {
		t.Fatal(err)
	}
	if why := <-e.ended; !errors.Is(why, cluster.ErrOther) {
		t.Errorf("ended: %v", why)
	}
}

// testGivenIDs: nodes without an id get one, the lowest that is free.
func testGivenIDs(t *testing.T, b *backend) {
	for _, instance := range []uint64{7 << 16, 8<<16 | 2, 9 << 16} {
		e, p := b.start(t, instance)
		open(t, p, fmt.Sprint("of ", instance>>16))
		e.sees(t, fmt.Sprintf("of %d %d: 1", instance>>16, instance>>16-6))
	}
	s, err := b.client(t).load(within(t))
	if err != nil || len(s.keys) != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	for i, want := range []uint64{7<<16 | 1, 8<<16 | 2, 9<<16 | 3} {
		if id := uint16(i + 1); s.keys[id] != want || s.state.Nodes[i].Instance != want {
			t.Errorf("node %d: key %#x, state %+v, want %#x", id, s.keys[id], s.state.Nodes[i], want)
		}
	}
}

// testKey: the key of a node that is gone goes too, and what Leave leaves is clean.
func testKey(t *testing.T, b *backend) {
	_, p := b.start(t, 1<<16|1)
	c := b.client(t)
	if mine, err := c.holds(within(t), 1<<16|1); err != nil || !mine {
		t.Errorf("no key of a member: %v", err)
	}
	if mine, err := c.holds(within(t), 2<<16|1); err != nil || mine {
		t.Errorf("a key of another start: %v", err)
	}
	if err := p.Leave(within(t), false); err != nil {
		t.Fatal(err)
	}
	if s, err := c.load(within(t)); err != nil || len(s.keys) != 0 || len(s.state.Nodes) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestServerRestart: memberships outlive a restart of etcd that is shorter than a lease,
// and end with one that is longer.
func TestServerRestart(t *testing.T) {
	server := etcdtest.Start(t)
	b := newBackend(t, server)
	b.cfg.Terms.Lease = 2e9
	e, p := b.start(t, 1<<16|1)
	open(t, p, "s")
	server.Signal(t, syscall.SIGKILL)
	server.Wait(t)
	server.Restart(t)
	before := e.until()
	e.await(t, func() bool { return e.lease > before })
	open(t, p, "other")
	e.sees(t, "other 2: 1")

	short := newBackend(t, server)
	e, p = short.start(t, 1<<16|1)
	server.Signal(t, syscall.SIGSTOP) // it does not answer, and nobody says so
	defer server.Signal(t, syscall.SIGCONT)
	if why := <-e.ended; !errors.Is(why, cluster.ErrNoQuorum) {
		t.Errorf("ended: %v", why)
	}
	if now := engine.BootTime(); now < e.until() {
		t.Errorf("ended %d ms before the lease", (e.until()-now)/1e6)
	}
	if err := p.Open(within(t), "s", nil); !errors.Is(err, cluster.ErrNoQuorum) {
		t.Errorf("open: %v", err)
	}
}

// TestServerHangs: one of three servers of etcd that hangs, with its connections up, costs nobody the
// membership. (Calls took the servers in turn, and the keep-alives met the same one each time.)
func TestServerHangs(t *testing.T) {
	b := newBackend(t, etcdtest.Start(t))
	b.cfg.Terms.Lease = 2e9
	bad := newProxy(t, b.addr)
	cfg := b.cfg
	cfg.Endpoints = []string{"http://" + bad.addr, "http://" + newProxy(t, b.addr).addr, "http://" + newProxy(t, b.addr).addr}
	e := newEar()
	p, err := Join(cfg, 1<<16|1, e)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	e.await(t, func() bool { return e.lease != 0 })
	goOn := bad.hang()
	defer goOn()
	from := e.until()
	e.await(t, func() bool { return e.lease > from+3*b.cfg.Terms.Lease })
}
