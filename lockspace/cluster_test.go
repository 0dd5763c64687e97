package lockspace

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the harness of the tests: some nodes, a network whose every
// delivery the test decides on, a clock that only the test moves, and locks
// that check what is reported about them.

const (
	testIdle     = int64(1e9) // ns, IdleAfter of all nodes
	testCached   = 50         // Cached of all nodes
	testValueLen = 8
)

// cluster is a set of nodes and the messages between them.
type cluster struct {
	t     testing.TB
	now   int64 // ns; a node's clock is this plus its offset
	nodes []*node
	view  *View
	rule  RangeRule
	links map[linkKey]*link
	busy  []*link // those with messages, in a fixed order: runs are reproducible
	locks []*tlock
	sent  [256]int     // messages by type
	seq   int          // number of the last packet
	rules Rules        // switched off
	abort func(string) // takes failures in place of t.Fatal
	ears  ears         // hear all that happens; may be nil
}

// ears hear what nodes send and report, as it happens.
type ears interface {
	sent(n *node, to uint16, m *wire.Msg)
	completed(l *tlock, c *Completion)
	blocking(l *tlock, mode Mode)
	confirmed(l *tlock)
	lost(l *tlock)
	conflict(n *node, name string, master wire.Life)
	bytes(b *tbyte)
}

// linkKey is a lane in which messages keep their order.
type linkKey struct {
	from, to uint16
	name     string
}

type link struct {
	linkKey
	packets []packet
}

type packet struct {
	typ   wire.Type
	bytes []byte
	seq   int    // all packets of the cluster are numbered
	to    uint64 // instance
	from  uint64 // instance
	epoch uint64 // the sender's view
	clock uint64
}

// node is one node with its shards. It is the Host of all of them.
type node struct {
	testCommon
	c         *cluster
	id        uint16
	instance  uint64
	down      bool
	offset    int64 // ns, of this node's clock
	shards    []*Shard
	noClaims  bool
	conflicts []string // names of which Host.Conflict has told
	asked     []*tbyte // requests for byte ranges, by tag
}

// testCommon is a Common that checks how it is used.
type testCommon struct {
	fatalf       func(format string, args ...any)
	last, closed uint64
	open         map[uint64]bool
	limit        int
	clock        uint64
}

func (m *testCommon) OpenClaim() (uint64, bool) {
	if len(m.open) >= m.limit {
		return 0, false
	}
	m.last++
	m.open[m.last] = true
	return m.last, true
}

func (m *testCommon) CloseClaim(n uint64) {
	if !m.open[n] {
		m.fatalf("claim %d closed, but it is not open", n)
	}
	delete(m.open, n)
	for m.closed < m.last && !m.open[m.closed+1] {
		m.closed++
	}
}

func (m *testCommon) LastClaim() uint64    { return m.last }
func (m *testCommon) ClosedTo() uint64     { return m.closed }
func (m *testCommon) Clock() uint64        { return m.clock }
func (m *testCommon) Advance(token uint64) { m.clock = max(m.clock, token) }

func instanceOf(id uint16) uint64 { return 7<<16 | uint64(id) }

// newCluster makes n nodes, with ids from 1, of shards shards each.
func newCluster(t testing.TB, n, shards int, without Rules) *cluster {
	t.Helper()
	return newRangeCluster(t, n, shards, 0, without)
}

// newRangeCluster is newCluster with range keys.
func newRangeCluster(t testing.TB, n, shards int, rule RangeRule, without Rules) *cluster {
	t.Helper()
	c := &cluster{t: t, now: 1e9, links: map[linkKey]*link{}, rule: rule, rules: without}
	var members []Member
	for i := range n {
		id := uint16(i + 1)
		members = append(members, Member{ID: id, Instance: instanceOf(id)})
	}
	var err error
	if c.view, err = NewView(1, members); err != nil {
		t.Fatal(err)
	}
	for i, m := range members {
		nd := &node{c: c, id: m.ID, offset: int64(i) * 3e9}
		nd.boot(m.Instance, shards, c.view)
		c.nodes = append(c.nodes, nd)
	}
	return c
}

// boot starts a node with empty shards. view is nil if it is to join.
func (n *node) boot(instance uint64, shards int, view *View) {
	n.c.t.Helper()
	n.testCommon = testCommon{fatalf: n.c.fatalf, open: map[uint64]bool{}, limit: 1000}
	n.instance, n.down, n.shards = instance, false, nil
	for k := range shards {
		s, err := New(Config{
			Self: instance, Shard: k, Shards: shards, ValueLen: testValueLen, Range: n.c.rule, View: view,
			Host: &shardHost{n, k}, Common: n, IdleAfter: testIdle, Cached: testCached, Without: n.c.rules,
		})
		if err != nil {
			n.c.t.Fatal(err)
		}
		n.shards = append(n.shards, s)
	}
}

// shardHost is the Host of one shard.
type shardHost struct {
	*node
	shard int
}

func (c *cluster) fatalf(format string, args ...any) {
	c.t.Helper()
	if c.abort != nil {
		c.abort(fmt.Sprintf(format, args...))
	}
	c.t.Fatalf(format, args...)
}

// node gives the node with an id.
func (c *cluster) node(id int) *node { return c.nodes[id-1] }

// name finds a name with this prefix whose directory is node dir and which
// lies in the given shard.
func (c *cluster) name(prefix string, dir, shard int) string {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s%d", prefix, i)
		h := c.route(name)
		if int(c.view.Directory(h)) == dir && ShardOf(h, len(c.nodes[0].shards)) == shard {
			return name
		}
	}
}

// route gives the hash that chooses directory node and shard of a name.
func (c *cluster) route(name string) uint64 {
	return c.rule.Route([]byte(name), Hash([]byte(name)))
}

func (n *node) now() int64 { return n.c.now + n.offset }

func (n *node) shardOf(name string) *Shard {
	return n.shards[ShardOf(n.c.route(name), len(n.shards))]
}

// resource gives the node's data of a name, nil if there are none.
func (n *node) resource(name string) *resource {
	return n.shardOf(name).names.find(Hash([]byte(name)), []byte(name))
}

// after finishes what a view has brought, and lets the other shards of a node see
// that claims have closed.
func (n *node) after(closed uint64) {
	for _, s := range n.shards {
		for s.Working() {
			s.Work(n.now(), 1)
		}
	}
	for closed != n.closed {
		closed = n.closed
		for _, s := range n.shards {
			s.Release(n.now())
		}
	}
}

// --- Host ---

func (n *shardHost) Send(to uint16, m *wire.Msg) {
	c := n.c
	view := n.shards[n.shard].view
	if to == n.id && m.Type.Named() || int(to) > len(c.nodes) || to == 0 {
		c.fatalf("node %d sends %v about %q to node %d", n.id, m.Type, m.Name, to)
	}
	key := linkKey{n.id, to, string(m.Name)}
	l := c.links[key]
	if l == nil {
		l = &link{linkKey: key}
		c.links[key] = l
	}
	if len(l.packets) == 0 {
		c.busy = append(c.busy, l)
	}
	c.seq++
	l.packets = append(l.packets, packet{
		typ: m.Type, bytes: m.Append(nil), seq: c.seq, to: view.Instance(to),
		from: n.instance, epoch: view.Epoch, clock: n.clock,
	})
	c.sent[m.Type]++
	if c.ears != nil {
		c.ears.sent(n.node, to, m)
	}
}

func (n *node) MayClaim(uint16) bool { return !n.noClaims }

func (n *node) Conflict(name []byte, master wire.Life) {
	n.conflicts = append(n.conflicts, string(name))
	if n.c.ears != nil {
		n.c.ears.conflict(n, string(name), master)
	}
}

// --- the network ---

// deliver hands over the first message of a lane.
func (c *cluster) deliver(l *link) {
	p := l.packets[0]
	l.packets = l.packets[1:]
	if len(l.packets) == 0 {
		i := slices.Index(c.busy, l)
		c.busy = slices.Delete(c.busy, i, i+1)
	}
	c.now++
	var m wire.Msg
	if _, err := m.Decode(p.bytes); err != nil {
		c.fatalf("%v from node %d: %v", p.typ, l.from, err)
	}
	n := c.node(int(l.to))
	if n.down || n.instance != p.to {
		return
	}
	closed := n.closed
	shards := n.shards
	if p.typ.Named() {
		shards = []*Shard{n.shardOf(l.name)}
	}
	for _, s := range shards {
		s.Deliver(n.now(), Origin{p.from, p.epoch, p.clock}, Hash(m.Name), &m)
	}
	for i := range p.bytes { // nothing of a message may be kept
		p.bytes[i] = 0xa5
	}
	n.after(closed)
}

// one delivers the next message from one node to another about a name, which
// must be of type typ.
func (c *cluster) one(from, to int, name string, typ wire.Type) {
	c.t.Helper()
	l := c.links[linkKey{uint16(from), uint16(to), name}]
	if l == nil || len(l.packets) == 0 {
		c.fatalf("no %v about %q on its way from %d to %d", typ, name, from, to)
	}
	if l.packets[0].typ != typ {
		c.fatalf("next from %d to %d about %q is %v, want %v", from, to, name, l.packets[0].typ, typ)
	}
	c.deliver(l)
}

// pending gives the types of the messages on a lane.
func (c *cluster) pending(from, to int, name string) (types []wire.Type) {
	if l := c.links[linkKey{uint16(from), uint16(to), name}]; l != nil {
		for _, p := range l.packets {
			types = append(types, p.typ)
		}
	}
	return types
}

// on says whether a message of type typ is on a lane.
func (c *cluster) on(from, to int, name string, typ wire.Type) bool {
	return slices.Contains(c.pending(from, to, name), typ)
}

// about delivers all messages about the given names, and what they cause.
func (c *cluster) about(names ...string) {
	c.t.Helper()
	for range 10_000 {
		i := slices.IndexFunc(c.busy, func(l *link) bool { return slices.Contains(names, l.name) && c.ready(l) })
		if i < 0 {
			return
		}
		c.deliver(c.busy[i])
	}
	c.t.Fatal("messages without end")
}

// settle delivers everything.
func (c *cluster) settle() {
	c.t.Helper()
	for range 100_000 {
		i := slices.IndexFunc(c.busy, c.ready)
		if i < 0 {
			return
		}
		c.deliver(c.busy[i])
	}
	c.t.Fatal("messages without end")
}

// tick lets ns pass on one node.
func (n *node) tick() {
	closed := n.closed
	for _, s := range n.shards {
		s.Tick(n.now())
	}
	n.after(closed)
}

// idle lets everything unused be removed everywhere.
func (c *cluster) idle() {
	c.t.Helper()
	for range 4 { // a master may go only after those who asked it
		c.now += testIdle + 1
		for _, n := range c.nodes {
			if !n.down {
				n.tick()
			}
		}
		c.settle()
	}
}

// empty is invariant 6: nothing is left anywhere. It says what is.
func (c *cluster) empty() string {
	for _, n := range c.nodes {
		if n.down {
			continue
		}
		for k, s := range n.shards {
			if s.kept != 0 || s.reported != 0 || s.keptBytes != 0 {
				return fmt.Sprintf("node %d shard %d: %d requests, %d reports and %d byte ranges are kept for a recovery", n.id, k, s.kept, s.reported, s.keptBytes)
			}
			st := s.Stats()
			if st.RangesOwned != 0 || st.RangesLent != 0 || len(s.leaving) != 0 || len(s.home) != 0 {
				return fmt.Sprintf("node %d shard %d: %d ranges are owned, %d lent, %d leaving, %d messages are at home",
					n.id, k, st.RangesOwned, st.RangesLent, len(s.leaving), len(s.home))
			}
			if st.Resources != 0 || st.Locks != 0 || st.ClaimsOpen != 0 || st.HeldNow != 0 || !s.Quiet() {
				return fmt.Sprintf("node %d shard %d: %d resources, %d locks, %d claims, %d held messages are left, quiet: %v",
					n.id, k, st.Resources, st.Locks, st.ClaimsOpen, st.HeldNow, s.Quiet())
			}
		}
		if len(n.open) != 0 {
			return fmt.Sprintf("node %d: %d claims are open", n.id, len(n.open))
		}
	}
	return ""
}

func value(i uint64) []byte { return binary.LittleEndian.AppendUint64(nil, i) }

func allNames(s *Shard) (list []*resource) {
	s.names.each(func(r *resource) bool {
		list = append(list, r)
		return true
	})
	return list
}
