package clustertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// Backend is one new cluster. It is used by several goroutines.
type Backend interface {
	// Join begins the membership of a node, 1 to 9, as instance. Node 1 comes first,
	// and is never cut off or ended: if there is one voter, it is this one. The
	// others have no store, and cannot vote. Before a node begins again, its last
	// membership has been closed.
	Join(t *testing.T, instance uint64, h cluster.Handler) cluster.Provider
	// Cut keeps a node from reaching anybody, and anybody from reaching it, or ends
	// that. It hears nothing, not even that it is cut off.
	Cut(id uint16, cut bool)
}

// Run checks a provider, each promise on a cluster of its own; they run at the same time.
func Run(t *testing.T, newCluster func(t *testing.T) Backend) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, b Backend)
	}{
		{"Open", testOpen},
		{"Views", testViews},
		{"Crash", testCrash},
		{"Leave", testLeave},
		{"Restart", testRestart},
		{"Commands", testCommands},
		{"Remove", testRemove},
		{"Context", testContext},
		{"Close", testClose},
		{"NoQuorum", testNoQuorum},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, newCluster(t))
		})
	}
}

// node is a start of a node.
type node struct {
	*ear
	cluster.Provider
	instance uint64
}

var starts atomic.Uint64

// start begins a membership and waits until it is there.
func start(t *testing.T, b Backend, id uint16) *node {
	t.Helper()
	n := begin(t, b, starts.Add(1)<<16|uint64(id))
	n.member()
	return n
}

func begin(t *testing.T, b Backend, instance uint64) *node {
	t.Helper()
	e := newEar(t, fmt.Sprintf("node %d", cluster.NodeOf(instance)))
	n := &node{e, b.Join(t, instance, e), instance}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("%s: %v", n.name, err)
		}
		n.closed()
	})
	return n
}

// crash ends a start without a word to the others.
func (n *node) crash() {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Errorf("%s: %v", n.name, err)
	}
	n.closed()
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (n *node) open(space string) {
	n.t.Helper()
	if err := n.Open(within(n.t), space, []byte("rule")); err != nil {
		n.t.Fatalf("%s: open %s: %v", n.name, space, err)
	}
}

func (n *node) do(c cluster.Command) {
	n.t.Helper()
	if err := n.Do(within(n.t), c); err != nil {
		n.t.Fatalf("%s: %s: %v", n.name, c.Kind, err)
	}
}

// wants checks an error.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// testOpen: who has opened a lockspace is in its view, whatever it is called, if it
// has the configuration of the others.
func testOpen(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	n1.open("s")
	if v := n1.sees("s", "1"); v.Members[0].Instance != n1.instance {
		t.Errorf("view %+v has another instance than %#x", v, n1.instance)
	}
	n2.open("s")
	for _, n := range []*node{n1, n2} {
		v := n.sees("s", "1 2")
		if v.Members[0].Instance != n1.instance || v.Members[1].Instance != n2.instance {
			t.Errorf("view %+v has other instances than %#x and %#x", v, n1.instance, n2.instance)
		}
	}
	n2.open("s") // again: nothing happens
	wants(t, "no configuration", n2.Open(within(t), "other", nil), nil)
	n2.sees("other", "2")
	wants(t, "another configuration", n1.Open(within(t), "other", []byte("mine")), cluster.ErrConfig)
	wants(t, "no name", n1.Open(within(t), "", nil), cluster.ErrInvalid)
	wants(t, "a long name", n1.Open(within(t), strings.Repeat("x", 65), nil), cluster.ErrInvalid)
	wants(t, "a long configuration", n1.Open(within(t), "x", make([]byte, 257)), cluster.ErrInvalid)
	odd := strings.Repeat("\x00/\xff", 21)
	n1.open(odd)
	n1.sees(odd, "1")
	n2.open("s") // the refused ones have left no trace
	n2.await("the lockspace", func() bool { return n2.state.Space(odd) != nil })
	if sp := n2.State().Space("other"); sp == nil || !slices.Equal(sp.Joined, []uint16{2}) {
		t.Errorf("after a refusal: %+v", sp)
	}
	if got := n1.texts("s", 0); len(got) != 2 {
		t.Errorf("views %q, want two", got)
	}
}

// testViews: all see the same views, in order and none skipped, while many change them.
func testViews(t *testing.T, b Backend) {
	nodes := []*node{start(t, b, 1)}
	var all sync.WaitGroup
	var mu sync.Mutex
	for id := uint16(2); id <= 5; id++ {
		all.Go(func() {
			n := begin(t, b, starts.Add(1)<<16|uint64(id))
			mu.Lock()
			defer mu.Unlock()
			nodes = append(nodes, n)
		})
	}
	all.Wait()
	const rounds = 10
	errs := make(chan error, len(nodes)*(rounds+1))
	for _, n := range nodes {
		n.member()
		all.Go(func() {
			errs <- n.Open(within(t), "s", nil)
			for range rounds {
				errs <- n.Do(within(t), cluster.Command{Kind: cluster.NewView, Space: "s"})
			}
		})
	}
	all.Wait()
	for range len(nodes) * (rounds + 1) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	var common uint64 // the first epoch that all have seen
	for _, n := range nodes {
		n.await("all views", func() bool {
			v := n.views["s"]
			if len(v) == 0 || v[len(v)-1].Epoch < uint64(len(nodes)*(rounds+1)) {
				return false
			}
			common = max(common, v[0].Epoch)
			return true
		})
	}
	want := nodes[0].texts("s", common)
	for _, n := range nodes {
		if got := n.texts("s", common); !slices.Equal(got, want) {
			t.Errorf("%s saw\n%q\n%s saw\n%q", n.name, got, nodes[0].name, want)
		}
		if s := n.State(); s.Space("s").Epoch != uint64(len(nodes)*(rounds+1)) || len(s.Nodes) != len(nodes) {
			t.Errorf("%s: state %+v", n.name, s)
		}
	}
}

// testCrash: the view without a node that is silent comes when its lease has ended.
func testCrash(t *testing.T, b Backend) {
	n1, n2, n3 := start(t, b, 1), start(t, b, 2), start(t, b, 3)
	for _, n := range []*node{n1, n2, n3} {
		n.open("s")
	}
	n1.sees("s", "1 2 3")
	n2.crash()
	for _, n := range []*node{n1, n3} {
		notBefore(t, n.sees("s", "1 3"), n2)
	}
}

// notBefore checks that a view came when the lease of one that is not in it had ended.
func notBefore(t *testing.T, v view, gone *node) {
	t.Helper()
	if until := gone.until(); v.at < until {
		t.Errorf("view %d, %s, %d ms before the lease of %s has ended", v.Epoch, v.text, (until-v.at)/1e6, gone.name)
	}
}

// testLeave: nobody waits for one that has left.
func testLeave(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	n1.open("s")
	n2.open("s")
	n1.sees("s", "1 2")
	if err := n2.Leave(within(t), false); err != nil {
		t.Fatal(err)
	}
	n2.closed()
	n1.do(cluster.Command{Kind: cluster.NewView, Space: "s"}) // comes after it
	n1.reaches("s", 4)
	if s := n1.State(); s.Node(2) != nil || len(s.Space("s").Joined) != 1 {
		t.Errorf("after it has left: %+v", s)
	}
	if err := n2.Open(within(t), "s", nil); err == nil {
		t.Error("opened without a membership")
	}
	n2 = start(t, b, 2)
	n2.open("s")
	if v := n1.sees("s", "1 2"); v.Members[1].Instance != n2.instance {
		t.Errorf("view %+v, want instance %#x", v, n2.instance)
	}
}

// testRestart: a start of a node waits for the lease of an earlier one, and the instance
// that has gone last comes never again.
func testRestart(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	n1.open("s")
	n2.open("s")
	n1.sees("s", "1 2")
	n2.crash()
	next := start(t, b, 2)
	if now := engine.BootTime(); now < n2.until() {
		t.Errorf("a member again %d ms before the earlier lease has ended", (n2.until()-now)/1e6)
	}
	notBefore(t, n1.sees("s", "1"), n2)
	next.open("s")
	if v := n1.sees("s", "1 2"); v.Members[1].Instance != next.instance {
		t.Errorf("view %+v, want instance %#x", v, next.instance)
	}
	if err := next.Leave(within(t), false); err != nil {
		t.Fatal(err)
	}
	next.closed()
	late := begin(t, b, next.instance)
	wants(t, "an instance that has left", late.hears(), cluster.ErrMember)
}

// testCommands: what cannot be done is refused, and says why.
func testCommands(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	ctx := within(t)
	wants(t, "promote a node without a store", n1.Do(ctx, cluster.Command{Kind: cluster.Promote, ID: 2}), cluster.ErrNoVote)
	wants(t, "promote nobody", n1.Do(ctx, cluster.Command{Kind: cluster.Promote, ID: 9}), cluster.ErrMember)
	wants(t, "remove nobody", n1.Do(ctx, cluster.Command{Kind: cluster.Remove, ID: 9}), cluster.ErrMember)
	wants(t, "a view of nothing", n1.Do(ctx, cluster.Command{Kind: cluster.NewView, Space: "s"}), cluster.ErrMember)
	for _, k := range []cluster.Kind{0, cluster.Join, cluster.Expire, cluster.Fenced, 99} {
		wants(t, k.String(), n1.Do(ctx, cluster.Command{Kind: k, Instance: n2.instance, ID: 2}), cluster.ErrInvalid)
	}
	n1.open("s")
	n1.do(cluster.Command{Kind: cluster.NewView, Space: "s"})
	n1.reaches("s", 2)
	if got := n1.texts("s", 0); !slices.Equal(got, []string{"1: 1", "2: 1"}) {
		t.Errorf("views %q", got)
	}
	if s := n1.State(); s.Member(n2.instance) == nil {
		t.Errorf("node 2 is gone: %+v", s)
	}
}

// testRemove: a node that an operator removes hears of it; the view without it comes
// when its lease has ended.
func testRemove(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	n1.open("s")
	n2.open("s")
	n1.sees("s", "1 2")
	n1.do(cluster.Command{Kind: cluster.Remove, ID: 2})
	wants(t, "removed", n2.hears(), cluster.ErrMember)
	wants(t, "open", n2.Open(within(t), "s", nil), cluster.ErrMember)
	notBefore(t, n1.sees("s", "1"), n2)
	n2.crash()
	start(t, b, 2).open("s") // it may come again
	n1.sees("s", "1 2")
}

// testContext: nothing waits for longer than its context.
func testContext(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	n1.open("s")
	b.Cut(2, true)
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error)
	go func() { got <- n2.Open(ctx, "s", []byte("rule")) }()
	cancel()
	wants(t, "cut off", <-got, context.Canceled)
	b.Cut(2, false)
	n2.open("s") // a later one is not confused by it
	n1.sees("s", "1 2")
}

// testClose: nothing comes after Close, and what waits does not wait any more.
func testClose(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	n1.open("s")
	n2.open("s")
	n1.sees("s", "1 2")
	b.Cut(2, true)
	got := make(chan error)
	go func() { got <- n2.Do(within(t), cluster.Command{Kind: cluster.NewView, Space: "s"}) }()
	n2.crash()
	if err := <-got; err == nil {
		t.Error("a command was carried out by a node that is cut off")
	}
	b.Cut(2, false)
	if err := n2.Open(within(t), "s", nil); err == nil {
		t.Error("open after Close")
	}
	if err := n2.Leave(within(t), false); err == nil {
		t.Error("leave after Close")
	}
	if err := n2.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	n1.do(cluster.Command{Kind: cluster.NewView, Space: "s"}) // node 2 would hear of it
	notBefore(t, n1.sees("s", "1"), n2)
}

// testNoQuorum: a node that is cut off knows the end of its lease by itself; the others
// go on without it then, and it comes back as another instance.
func testNoQuorum(t *testing.T, b Backend) {
	n1, n2 := start(t, b, 1), start(t, b, 2)
	n1.open("s")
	n2.open("s")
	n1.sees("s", "1 2")
	b.Cut(2, true)
	wants(t, "cut off", n2.Open(within(t), "other", nil), cluster.ErrNoQuorum)
	wants(t, "cut off", n2.hears(), cluster.ErrNoQuorum)
	if now := engine.BootTime(); now < n2.until() {
		t.Errorf("ended %d ms before its lease", (n2.until()-now)/1e6)
	}
	notBefore(t, n1.sees("s", "1"), n2)
	b.Cut(2, false)
	n2.crash()
	n2 = start(t, b, 2)
	n2.open("s")
	if v := n1.sees("s", "1 2"); v.Members[1].Instance != n2.instance {
		t.Errorf("view %+v, want instance %#x", v, n2.instance)
	}
}
