package lockspace

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// lockFor asks for a new lock of an owner and delivers everything.
func (n *node) lockFor(owner uint64, name string, mode Mode, flags uint32) *tlock {
	n.c.t.Helper()
	l := n.newTlock(name, mode, flags)
	l.owner = owner
	if st := l.ask(); st != wire.OK {
		n.c.fatalf("lock %q: %v", name, st)
	}
	n.c.settle()
	return l
}

// pass lets time go by in steps of 10 ms, as the host would.
func (c *cluster) pass(ms int) {
	c.t.Helper()
	for range ms / 10 {
		c.now += 10e6
		for _, n := range c.nodes {
			if !n.down {
				n.tick()
			}
		}
		c.settle()
	}
}

// cycleText gives a cycle in one line: "1/3 a EX<PR 2/4, ..." is owner 3 of
// node 1, which wants a in EX, held in PR by owner 4 of node 2; "<<" says that
// that one is ahead in the queue. Of byte ranges: "1/3 a EX 0-9<PR 4-4 2/4".
func cycleText(p wire.Path) string {
	var out []string
	for _, e := range p.Edges() {
		arrow := "<"
		if e.Ahead {
			arrow = "<<"
		}
		wants, has := fmt.Sprint(Mode(e.Waiter.Mode)), fmt.Sprint(Mode(e.Blocker.Mode))
		if e.Bytes {
			wants += fmt.Sprint(" ", byterange.Range{Start: e.Waiter.Start, End: e.Waiter.End})
			has += fmt.Sprint(" ", byterange.Range{Start: e.Blocker.Start, End: e.Blocker.End})
		}
		out = append(out, fmt.Sprintf("%d/%d %s %s%s%s %d/%d", wire.NodeOf(e.Waiter.Instance), e.Waiter.Owner, e.Name,
			wants, arrow, has, wire.NodeOf(e.Blocker.Instance), e.Blocker.Owner))
	}
	return strings.Join(out, ", ")
}

// step of a deadlock scenario: an owner of a node does something to a name.
type step struct {
	node  int
	owner uint64
	name  string
	mode  Mode
	flags uint32
	conv  bool // of the first lock that the owner has on the name
}

func (c *cluster) play(steps []step) (locks []*tlock) {
	c.t.Helper()
	for _, st := range steps {
		if !st.conv {
			locks = append(locks, c.node(st.node).lockFor(st.owner, st.name, st.mode, st.flags))
			continue
		}
		for _, l := range locks {
			if l.owner == st.owner && l.name == st.name && int(l.n.id) == st.node {
				l.convert(st.mode, st.flags, nil)
				c.settle()
				break
			}
		}
	}
	return locks
}

// deadlockCases say what is asked for, by whom, and how it ends: the cycles that
// are reported within a second, in the order of the requests.
var deadlockCases = []struct {
	name  string
	steps []step
	want  []string
}{
	{"two nodes, two names", []step{
		{1, 1, "a", EX, 0, false}, {2, 2, "b", EX, 0, false}, {1, 1, "b", EX, 0, false}, {2, 2, "a", PR, 0, false},
	}, []string{"2/2 a PR<EX 1/1, 1/1 b EX<EX 2/2"}},
	{"one node", []step{
		{1, 1, "a", EX, 0, false}, {1, 2, "b", EX, 0, false}, {1, 1, "b", EX, 0, false}, {1, 2, "a", PR, 0, false},
	}, []string{"1/2 a PR<EX 1/1, 1/1 b EX<EX 1/2"}},
	{"the same number on two nodes", []step{
		{1, 7, "a", EX, 0, false}, {2, 7, "b", EX, 0, false}, {1, 7, "b", EX, 0, false}, {2, 7, "a", PR, 0, false},
	}, []string{"2/7 a PR<EX 1/7, 1/7 b EX<EX 2/7"}},
	{"three nodes", []step{
		{1, 3, "a", EX, 0, false}, {2, 2, "b", EX, 0, false}, {3, 1, "c", EX, 0, false},
		{1, 3, "b", EX, 0, false}, {2, 2, "c", EX, 0, false}, {3, 1, "a", EX, 0, false},
	}, []string{"1/3 b EX<EX 2/2, 2/2 c EX<EX 3/1, 3/1 a EX<EX 1/3"}},
	{"no cycle", []step{
		{1, 3, "a", EX, 0, false}, {2, 2, "b", EX, 0, false}, {1, 3, "b", EX, 0, false}, {3, 1, "a", EX, 0, false},
	}, nil},
	{"no owner, no cycle", []step{
		{1, 0, "a", EX, 0, false}, {2, 2, "b", EX, 0, false}, {1, 0, "b", EX, 0, false}, {2, 2, "a", PR, 0, false},
	}, nil},
	{"several readers, one of whom waits for the writer", []step{
		{1, 1, "a", PR, 0, false}, {2, 2, "a", PR, 0, false}, {3, 3, "a", PR, 0, false}, {3, 4, "b", EX, 0, false},
		{3, 4, "a", EX, 0, false}, {2, 2, "b", PR, 0, false},
	}, []string{"3/4 a EX<PR 2/2, 2/2 b PR<EX 3/4"}},
	{"an owner with itself", []step{
		{1, 1, "a", EX, 0, false}, {1, 1, "a", PR, 0, false},
	}, []string{"1/1 a PR<EX 1/1"}},
	{"readers behind a writer without an owner", []step{
		{1, 1, "a", PR, 0, false}, {2, 0, "a", EX, 0, false}, {1, 1, "a", PR, 0, false},
	}, []string{"1/1 a PR<<EX 2/0, 2/0 a EX<PR 1/1"}},
	{"behind an exclusive request in the queue", []step{
		{1, 1, "a", EX, 0, false}, {2, 2, "b", EX, 0, false}, {2, 2, "a", EX, 0, false}, {1, 3, "a", EX, 0, false},
		{1, 1, "b", EX, 0, false},
	}, []string{"2/2 a EX<EX 1/1, 1/1 b EX<EX 2/2"}},
	{"only behind an exclusive request in the queue", []step{
		{1, 1, "a", PR, 0, false}, {3, 4, "b", EX, 0, false}, {2, 2, "a", EX, 0, false}, {3, 4, "a", PR, 0, false},
		{1, 1, "b", EX, 0, false},
	}, []string{"3/4 a PR<<EX 2/2, 2/2 a EX<PR 1/1, 1/1 b EX<EX 3/4"}},
	// Owner 2 is behind a compatible request of owner 3, who waits for 2
	// elsewhere: 2 will be granted all the same.
	{"behind a compatible request: no cycle", []step{
		{1, 1, "a", EX, 0, false}, {2, 2, "b", EX, 0, false},
		{3, 3, "a", PR, 0, false}, {3, 3, "b", PR, 0, false}, {2, 2, "a", PR, 0, false},
	}, nil},
	{"through a compatible request", []step{
		{1, 1, "a", PR, 0, false}, {3, 9, "b", EX, 0, false}, {1, 0, "a", CW, 0, false}, {2, 0, "a", CW, 0, false},
		{3, 9, "a", PR, 0, false}, {1, 1, "b", PR, 0, false},
	}, []string{"3/9 a PR<<CW 2/0, 2/0 a CW<PR 1/1, 1/1 b PR<EX 3/9"}},
	{"a conversion and another name", []step{
		{1, 1, "a", PR, 0, false}, {2, 2, "a", PR, 0, false}, {2, 2, "b", EX, 0, false},
		{1, 1, "b", PR, 0, false}, {2, 2, "a", EX, 0, true},
	}, []string{"2/2 a EX<PR 1/1, 1/1 b PR<EX 2/2"}},
	{"a new request behind a conversion", []step{
		{1, 1, "a", PR, 0, false}, {2, 2, "a", NL, 0, false}, {3, 3, "b", EX, 0, false}, {2, 2, "a", EX, 0, true},
		{3, 3, "a", PR, 0, false}, {1, 1, "b", PR, 0, false},
	}, []string{"3/3 a PR<<EX 2/2, 2/2 a EX<PR 1/1, 1/1 b PR<EX 3/3"}},
	{"conversions on one name, at once", []step{
		{1, 1, "a", PR, 0, false}, {2, 2, "a", PR, 0, false}, {1, 1, "a", EX, 0, true}, {2, 2, "a", EX, 0, true},
	}, []string{"2/2 a EX<PR 1/1, 1/1 a EX<PR 2/2"}},
	{"conversions without owners", []step{
		{1, 0, "a", PR, 0, false}, {2, 0, "a", PR, 0, false}, {1, 0, "a", EX, 0, true}, {2, 0, "a", EX, 0, true},
	}, []string{"2/0 a EX<PR 1/0, 1/0 a EX<PR 2/0"}},
	{"the youngest does not want to be the victim", []step{
		{1, 1, "a", EX, 0, false}, {2, 2, "b", EX, 0, false}, {1, 1, "b", EX, 0, false}, {2, 2, "a", PR, NoDlckWt, false},
	}, []string{"1/1 b EX<EX 2/2, 2/2 a PR<EX 1/1"}},
	{"nobody wants to be the victim", []step{
		{1, 1, "a", EX, 0, false}, {2, 2, "b", EX, 0, false},
		{1, 1, "b", EX, NoDlckWt, false}, {2, 2, "a", PR, NoDlckWt, false},
	}, nil},
	// 3 waits for 1 and 2 who hold b together, and each waits for 3.
	{"two cycles with one victim", []step{
		{1, 1, "b", PR, 0, false}, {2, 2, "b", PR, 0, false}, {3, 3, "a", EX, 0, false}, {3, 3, "b", EX, 0, false},
		{1, 1, "a", PR, 0, false}, {2, 2, "a", PR, 0, false},
	}, []string{"3/3 b EX<PR 1/1, 1/1 a PR<EX 3/3"}},
	// 1 waits for 2 and 3, each of whom waits for 1.
	{"two cycles with two victims", []step{
		{1, 1, "a", EX, 0, false}, {2, 2, "b", PR, 0, false}, {3, 3, "b", PR, 0, false}, {1, 1, "b", EX, 0, false},
		{2, 2, "a", PR, 0, false}, {3, 3, "a", PR, 0, false},
	}, []string{"2/2 a PR<EX 1/1, 1/1 b EX<PR 2/2", "3/3 a PR<EX 1/1, 1/1 b EX<PR 3/3"}},
}

func TestDeadlocks(t *testing.T) {
	for _, tc := range deadlockCases {
		t.Run(strings.ReplaceAll(tc.name, " ", "_"), func(t *testing.T) {
			c := newCluster(t, 3, 3, 0)
			locks := c.play(tc.steps)
			c.pass(700)
			var got []string
			for _, l := range locks {
				if l.last.Status != wire.OK {
					got = append(got, cycleText(l.last.Cycle))
					if l.last.Status != wire.Deadlock {
						t.Errorf("%q ended with %v", l.name, l.last.Status)
					}
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("reported\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			c.release(locks)
		})
	}
}

// release ends all locks and sees that nothing is left.
func (c *cluster) release(locks []*tlock) {
	c.t.Helper()
	for _, l := range locks {
		if !l.gone {
			l.unlock(ForceUnlock, nil)
		}
	}
	c.settle()
	c.idle()
	if left := c.empty(); left != "" {
		c.t.Error(left)
	}
}

// TestFencedShardIsQuiet: a fenced shard asks nobody for deadlocks of what waited there.
func TestFencedShardIsQuiet(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	x := c.mastered("x", 1, 0)
	c.hold(1, x, EX, 0)
	n := c.node(2)
	s := n.shards[0]
	r := Request{Name: []byte(x), Hash: Hash([]byte(x)), Mode: EX, Owner: 5, User: &tlock{n: n, name: x, tag: 1, wanted: EX, mode: NoMode}, Tag: 1}
	if _, st := s.Lock(n.now(), &r); st != wire.OK {
		t.Fatal(st)
	}
	c.settle()
	s.Fence(n.now())
	before := c.total()
	c.now += 300e6
	s.Tick(n.now())
	if sent := c.total() - before; sent != 0 || !s.Quiet() {
		t.Errorf("%d messages sent, quiet %v", sent, s.Quiet())
	}
}
