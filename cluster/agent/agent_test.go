package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lockify-dlm/lockify/cluster"
)

// TestMain has more tests run at a time than there are processors: they wait for the ends
// of leases.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "10"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// network carries mail between the agents of a test, as far as it is not cut.
type network struct {
	mu     sync.Mutex
	agents map[string]*Agent
	cut    map[string]bool // addresses nothing comes from or goes to
}

func newNetwork() *network { return &network{agents: map[string]*Agent{}, cut: map[string]bool{}} }

// port is a Mailer at an address.
type port struct {
	net  *network
	addr string
}

func (p port) Send(addr string, payload []byte) {
	p.net.mu.Lock()
	a := p.net.agents[addr]
	cut := p.net.cut[addr] || p.net.cut[p.addr]
	p.net.mu.Unlock()
	if a != nil && !cut {
		a.Receive(0, payload)
	}
}

func (p port) Trouble(addr string) string {
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	if p.net.agents[addr] == nil {
		return "nobody there"
	}
	return ""
}

func (n *network) setCut(addr string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[addr] = cut
}

// ears is a Handler that keeps what it hears.
type ears struct {
	mu    sync.Mutex
	cond  *sync.Cond
	state *cluster.State
	views []string // "space epoch: ids"
	lease int64
	ended error
}

func newEars() *ears {
	e := &ears{}
	e.cond = sync.NewCond(&e.mu)
	return e
}

func (e *ears) Agreed(s *cluster.State, views []cluster.SpaceView) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state = s
	for _, v := range views {
		var ids []string
		for _, m := range v.Members {
			ids = append(ids, fmt.Sprint(m.ID))
		}
		e.views = append(e.views, fmt.Sprintf("%s %d: %s", v.Space, v.Epoch, strings.Join(ids, " ")))
	}
	e.cond.Broadcast()
}

func (e *ears) Lease(until int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lease = until
	e.cond.Broadcast()
}

func (e *ears) Ended(reason error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = reason
	e.cond.Broadcast()
}

func (e *ears) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := false
	timer := time.AfterFunc(30*time.Second, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		late = true
		e.cond.Broadcast()
	})
	defer timer.Stop()
	e.mu.Lock()
	defer e.mu.Unlock()
	for !ok() {
		if late {
			t.Fatalf("waited for %s: views %q, ended %v, state %+v", what, e.views, e.ended, e.state)
		}
		e.cond.Wait()
	}
}

func (e *ears) awaitView(t *testing.T, view string) {
	t.Helper()
	e.await(t, "view "+view, func() bool { return len(e.views) > 0 && e.views[len(e.views)-1] == view })
}

// node is an agent and its membership.
type node struct {
	*ears
	t     *testing.T
	net   *network
	cfg   Config
	agent *Agent
	cluster.Provider
	starts uint64
}

func (n *network) node(t *testing.T, id uint16, change func(*Config)) *node {
	addr := fmt.Sprint("node:", id)
	cfg := Config{
		ID: id, Cluster: "test", Addr: addr, Mail: port{n, addr}, Logger: slog.New(slog.DiscardHandler),
		// Who waits for the end of a lease does so in parallel with other tests; nobody
		// else may come to it, however busy the machine is.
		Terms: cluster.Terms{Lease: 2e9, DriftPPM: 1000, Margin: 20e6},
	}
	change(&cfg)
	m := &node{t: t, net: n, cfg: cfg}
	m.open()
	t.Cleanup(func() {
		if m.agent != nil {
			m.stop()
		}
	})
	return m
}

func (n *node) open() {
	n.t.Helper()
	a, err := Open(n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.agent = a
	n.net.mu.Lock()
	n.net.agents[n.cfg.Addr] = a
	n.net.mu.Unlock()
}

func (n *node) join() *node {
	n.t.Helper()
	n.starts++
	n.ears = newEars()
	p, err := n.agent.Join(n.starts<<16|uint64(n.cfg.ID), n.ears)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Provider = p
	n.await(n.t, "membership", func() bool { return n.state != nil && n.lease != 0 })
	return n
}

// stop ends the agent, without leaving.
func (n *node) stop() {
	n.t.Helper()
	n.net.mu.Lock()
	delete(n.net.agents, n.cfg.Addr)
	n.net.mu.Unlock()
	if err := n.agent.Close(); err != nil {
		n.t.Error(err)
	}
	n.agent = nil
}

func (n *node) openSpace(name, config string) {
	n.t.Helper()
	if err := n.Open(n.t.Context(), name, []byte(config)); err != nil {
		n.t.Fatal(err)
	}
}

func founder(dir string) func(*Config) {
	return func(c *Config) { c.Found, c.Store = true, filepath.Join(dir, "one") }
}

func joiner(store string) func(*Config) {
	return func(c *Config) { c.Join, c.Store = []string{"node:9", "node:1"}, store }
}

// TestRefusedFound: what no cluster can have is refused before there is a store; and a store that a
// cluster was to be made in, and was not, is as good as new.
func TestRefusedFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cluster.db")
	good := Config{ID: 1, Cluster: "test", Addr: "node:1", Found: true, Store: file, Mail: port{newNetwork(), "node:1"}}
	for says, wrong := range map[string]func(*Config){
		"9 voters, must be 1 to 7":     func(c *Config) { c.Voters = 9 },
		"-1 voters, must be 1 to 7":    func(c *Config) { c.Voters = -1 },
		"not between 100 ms and 1 h":   func(c *Config) { c.Terms.Lease = 1e6 },
		"address of 0 bytes for the o": func(c *Config) { c.Addr = "" },
	} {
		cfg := good
		wrong(&cfg)
		if _, err := Open(cfg); !errors.Is(err, cluster.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("%s: there is a store: %v", says, err)
		}
	}
	unchecked := &Agent{cfg: good} // no voters, no lease
	if err := unchecked.openStore(); !errors.Is(err, cluster.ErrInvalid) {
		t.Errorf("opened unchecked: %v", err)
	}
	a, err := Open(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// TestLife: nodes come, crash, come back and leave; those who stay hear of it.
func TestLife(t *testing.T) {
	t.Parallel()
	net, dir := newNetwork(), t.TempDir()
	one := net.node(t, 1, founder(dir)).join()
	one.openSpace("s", "config")
	one.awaitView(t, "s 1: 1")
	two := net.node(t, 2, joiner(filepath.Join(dir, "two"))).join()
	three := net.node(t, 3, joiner("")).join()
	if err := three.Open(t.Context(), "s", []byte("other")); !errors.Is(err, cluster.ErrConfig) {
		t.Errorf("another configuration: %v", err)
	}
	two.openSpace("s", "config")
	three.openSpace("s", "config")
	for _, n := range []*node{one, two, three} {
		n.awaitView(t, "s 3: 1 2 3")
	}
	if s := three.State(); len(s.Nodes) != 3 || len(s.Voters) != 2 {
		t.Errorf("state %+v", s)
	}
	three.stop() // a crash: nobody is told
	one.awaitView(t, "s 4: 1 2")
	three.open()
	three.join().openSpace("s", "config")
	two.awaitView(t, "s 5: 1 2 3")
	if err := three.Leave(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	one.awaitView(t, "s 6: 1 2")
	if three.ended != nil {
		t.Errorf("who leaves hears %v", three.ended)
	}
	if err := one.Do(t.Context(), cluster.Command{Kind: cluster.Remove, ID: 2}); err != nil {
		t.Fatal(err)
	}
	two.await(t, "its end", func() bool {
		return errors.Is(two.ended, cluster.ErrMember) || errors.Is(two.ended, cluster.ErrNoQuorum)
	})
	one.awaitView(t, "s 7: 1")
}

// TestLeaveOfTwo: of two voters either may leave for good, and the other one goes on
// alone.
func TestLeaveOfTwo(t *testing.T) {
	for _, leaves := range []string{"the leader", "the follower"} {
		t.Run(leaves, func(t *testing.T) {
			net, dir := newNetwork(), t.TempDir()
			one := net.node(t, 1, founder(dir)).join()
			two := net.node(t, 2, joiner(filepath.Join(dir, "two"))).join()
			one.await(t, "two votes", func() bool { return len(voting(one)) == 2 })
			goes, stays := one, two
			if leaves == "the follower" {
				goes, stays = two, one
			}
			stays.openSpace("s", "config")
			if err := goes.Leave(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			goes.stop()
			stays.await(t, "one vote", func() bool { return len(voting(stays)) == 1 })
			stays.openSpace("another", "config")
			stays.awaitView(t, fmt.Sprintf("another 2: %d", stays.cfg.ID))
		})
	}
}

func voting(n *node) []uint16 {
	_, voting := n.agent.Raft()
	return voting
}

// TestWholeClusterRestarts: the voters come back from their stores, the first one
// without being told whom to join, and the one that was cut off hears why its
// membership has ended.
func TestWholeClusterRestarts(t *testing.T) {
	t.Parallel()
	net, dir := newNetwork(), t.TempDir()
	nodes := []*node{net.node(t, 1, founder(dir)).join()}
	for id := uint16(2); id <= 3; id++ {
		nodes = append(nodes, net.node(t, id, joiner(filepath.Join(dir, fmt.Sprint(id)))).join())
	}
	nodes[0].await(t, "three voters", func() bool { return len(nodes[0].state.Voters) == 3 })
	nodes[0].openSpace("s", "")
	net.setCut("node:3", true)
	nodes[2].await(t, "no quorum", func() bool { return errors.Is(nodes[2].ended, cluster.ErrNoQuorum) })
	net.setCut("node:3", false)
	nodes[2].join()
	for _, n := range nodes {
		n.stop()
	}
	for _, n := range nodes {
		n.cfg.Found = false
		n.open()
	}
	for _, n := range nodes {
		n.join()
		n.openSpace("s", "")
	}
	for _, n := range nodes {
		n.await(t, "all three", func() bool { return len(n.views) > 0 && strings.HasSuffix(n.views[len(n.views)-1], ": 1 2 3") })
	}
}

// TestJoinWithOwnCluster: the store of a cluster that no other node has been in is not for
// joining others. Where others have been in it, joining them is what is going on.
func TestJoinWithOwnCluster(t *testing.T) {
	t.Parallel()
	net, dir := newNetwork(), t.TempDir()
	one := net.node(t, 1, founder(dir)).join()
	one.openSpace("s", "")
	for _, c := range []struct {
		join    []string
		found   bool
		refused bool
	}{
		{join: []string{"node:9"}, refused: true},
		{join: []string{"node:9", "node:1"}},
		{join: []string{"node:9"}, found: true},
		{},
	} {
		one.stop()
		one.cfg.Join, one.cfg.Found = c.join, c.found
		if a, err := Open(one.cfg); c.refused != (err != nil) || err != nil && !strings.Contains(err.Error(), "move it away to join that of node:9") {
			t.Errorf("%+v: %v", c, err)
		} else if err == nil {
			a.Close()
		}
		one.cfg.Join = nil
		one.open()
	}
	one.join()
	two := net.node(t, 2, joiner("")).join()
	if err := two.Leave(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	one.stop()
	one.cfg.Join = []string{"node:2"}
	one.open()
	one.join()
}

// TestContactIsGone: whoever was to be joined is gone for good; those who were members
// find the others all the same, by what they have heard or stored.
func TestContactIsGone(t *testing.T) {
	t.Parallel()
	net, dir := newNetwork(), t.TempDir()
	only := func(store string) func(*Config) {
		return func(c *Config) { c.Join, c.Store = []string{"node:1"}, store }
	}
	one := net.node(t, 1, founder(dir)).join()
	two := net.node(t, 2, only(filepath.Join(dir, "two"))).join()
	three := net.node(t, 3, only(filepath.Join(dir, "three"))).join()
	stored, cut := net.node(t, 4, only(filepath.Join(dir, "four"))).join(), net.node(t, 5, only("")).join()
	two.await(t, "three votes", func() bool { return len(two.state.Voters) == 3 && len(voting(two)) == 3 })
	for _, n := range []*node{three, stored, cut} {
		n.await(t, "all members", func() bool { return len(n.state.Nodes) == 5 && len(n.state.Voters) == 3 })
	}
	one.stop()
	stored.stop()
	net.setCut("node:5", true)
	cut.await(t, "no quorum", func() bool { return errors.Is(cut.ended, cluster.ErrNoQuorum) })
	net.setCut("node:5", false)
	cut.join()
	stored.cfg.Join = nil
	stored.open()
	stored.join()
}

// TestManyMembers: 64 nodes, three of them with a vote, and one lockspace.
func TestManyMembers(t *testing.T) {
	const many = 64
	net, dir := newNetwork(), t.TempDir()
	slow := func(c *Config) { c.Terms.Lease = 10e9 } // so many share the cores with other tests
	nodes := []*node{net.node(t, 1, func(c *Config) { founder(dir)(c); slow(c) }).join()}
	for id := uint16(2); id <= many; id++ {
		store := ""
		if id <= 5 {
			store = filepath.Join(dir, fmt.Sprint(id))
		}
		nodes = append(nodes, net.node(t, id, func(c *Config) { joiner(store)(c); slow(c) }))
	}
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() {
			if n.Provider == nil {
				n.join()
			}
			if err := n.Open(t.Context(), "s", nil); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var ids []string
	for id := range many {
		ids = append(ids, fmt.Sprint(id+1))
	}
	view := fmt.Sprintf("s %d: %s", many, strings.Join(ids, " "))
	for _, n := range nodes {
		n.awaitView(t, view)
		n.await(t, "its lease", func() bool { return n.lease > 0 })
	}
	if s := nodes[0].State(); len(s.Nodes) != many || len(s.Voters) != 3 {
		t.Errorf("%d members, %d voters", len(s.Nodes), len(s.Voters))
	}
}

// TestWrongCluster: a node that was sent to another cluster does not get in.
func TestWrongCluster(t *testing.T) {
	net, dir := newNetwork(), t.TempDir()
	net.node(t, 1, founder(dir)).join()
	var log strings.Builder
	var mu sync.Mutex
	said := sync.NewCond(&mu)
	other := net.node(t, 2, func(c *Config) {
		joiner("")(c)
		c.Cluster = "other"
		c.Logger = slog.New(slog.NewTextHandler(writer(func(b []byte) {
			mu.Lock()
			defer mu.Unlock()
			log.Write(b)
			said.Broadcast()
		}), nil))
	})
	p, err := other.agent.Join(1<<16|2, newEars())
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	for !strings.Contains(log.String(), `this node is of cluster \"test\", you are of \"other\"`) {
		said.Wait()
	}
	mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Open(ctx, "s", nil); err == nil {
		t.Error("a lockspace is opened")
	}
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

func TestConfig(t *testing.T) {
	good := Config{ID: 1, Cluster: "c", Addr: "a", Join: []string{"b"}}
	for what, change := range map[string]func(*Config){
		"no id":            func(c *Config) { c.ID = 0 },
		"no name":          func(c *Config) { c.Cluster = "" },
		"no address":       func(c *Config) { c.Addr = "" },
		"a long address":   func(c *Config) { c.Join = []string{strings.Repeat("a", 101)} },
		"nobody to join":   func(c *Config) { c.Join = nil },
		"new and no store": func(c *Config) { c.Found = true },
		"only itself":      func(c *Config) { c.Join = []string{"a", "a"} },
		"itself, no store": func(c *Config) { c.Join, c.Store = []string{"a"}, filepath.Join(t.TempDir(), "empty") },
		"a directory":      func(c *Config) { c.Store = t.TempDir() },
	} {
		c := good
		change(&c)
		if a, err := Open(c); err == nil {
			t.Errorf("%s is accepted", what)
			a.Close()
		} else if what != "a directory" && strings.Contains(what, "itself") != strings.Contains(err.Error(), "names only this node itself, a, which is in no cluster") {
			t.Errorf("%s: %v", what, err)
		} else if what == "nobody to join" && !strings.Contains(err.Error(), "--join") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzEnvelope(f *testing.F) {
	good := envelope{isMessage, 3, "c", "host:1", []byte("payload")}
	f.Add(good.append(nil))
	longest := envelope{isMessage, 3, strings.Repeat("c", maxNameLen), "host:1", nil}
	f.Add(longest.append(nil))
	f.Add([]byte{isRefusal, 1, 0, 1, 'c', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEnvelope(b)
		if err != nil {
			return
		}
		if got := e.append(nil); string(got) != string(b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}

// TestUnreadMail: mail that waits to be read is no more than there is room for.
func TestUnreadMail(t *testing.T) {
	a, err := Open(Config{ID: 1, Cluster: "c", Addr: "a", Join: []string{"b"}, Mail: port{newNetwork(), "a"}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil { // nobody reads
		t.Fatal(err)
	}
	before := len(a.inbox)
	for _, size := range []int{cluster.MaxPayload, 1} {
		mail := envelope{kind: isMessage, from: 3, cluster: "c", addr: "b", payload: make([]byte, size)}
		for range 2 * maxLetters {
			a.Receive(3, mail.append(nil))
		}
		if size > 1 && len(a.inbox)-before != maxUnread/size {
			t.Errorf("%d letters of %d bytes are kept", len(a.inbox)-before, size)
		}
	}
	if len(a.inbox) > maxLetters || a.unread.Load() > maxUnread {
		t.Errorf("%d letters, %d bytes", len(a.inbox), a.unread.Load())
	}
}

// TestForgedMail: what one node sends in the name of another is dropped, with a word.
func TestForgedMail(t *testing.T) {
	var log strings.Builder
	a, err := Open(Config{ID: 1, Cluster: "c", Addr: "a", Join: []string{"b"}, Mail: port{newNetwork(), "a"}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	letter := envelope{kind: isRefusal, from: 3, cluster: "c", addr: "b", payload: []byte("go away")}
	a.Receive(2, letter.append(nil))
	a.Receive(3, letter.append(nil))
	a.Receive(3, letter.append(nil)) // said once
	if why := a.Outside(); why != "node 3 at b: go away" {
		t.Errorf("outside because of %q", why)
	}
	letter.payload = make([]byte, cluster.MaxPayload)
	a.Receive(3, letter.append(nil))
	if n := len(a.Outside()); n > 2*maxReason {
		t.Errorf("%d bytes of a refusal are kept", n)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Count(text, "another node refuses us") != 2 || !strings.Contains(text, "in the name of another\" node=2 says=3") {
		t.Error(text)
	}
}
