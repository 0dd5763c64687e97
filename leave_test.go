package lockify

import (
	"context"
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace"
)

// notOf gives a name with this prefix whose directory is another node than id.
func (e *env) notOf(t *testing.T, id uint16, s *Lockspace, prefix string) string {
	t.Helper()
	for {
		name := prefix + e.name()
		l := e.must(t, s, name, NL)
		dir := resource(t, e.nodes, s.Name(), name).Directory
		e.unlock(t, l)
		if dir != id {
			return name
		}
	}
}

// traces says what nodes still have of node id in a lockspace.
func traces(t *testing.T, nodes []*Node, space string, id uint16) (out []string) {
	t.Helper()
	for _, n := range nodes {
		sp := n.n.Space(space)
		err := sp.Inspect(context.Background(), func(i lockspace.ResourceInfo) bool {
			if i.Entry == id {
				out = append(out, fmt.Sprintf("%q: an entry", i.Name))
			}
			for _, b := range i.Bytes {
				if b.Node == id {
					out = append(out, fmt.Sprintf("%q: bytes %+v", i.Name, b))
				}
			}
			for _, q := range [][]lockspace.LockInfo{i.Granted, i.Convert, i.Waiting} {
				for _, l := range q {
					if l.Node == id {
						out = append(out, fmt.Sprintf("%q: lock %+v", i.Name, l))
					}
				}
			}
			return true
		})
		expect(t, "Inspect", err, nil)
		for _, r := range sp.Ranges() {
			out = append(out, fmt.Sprintf("%q: range %+v", r.Key, r))
		}
	}
	return out
}

// TestCleanLeave: a node that is closed gives everything back: locks of its programs
// and clients, orphans, byte ranges, delegated ranges, the mastership of names that
// nobody uses. The others go on at once.
func TestCleanLeave(t *testing.T) {
	for _, transport := range transports() {
		t.Run(transport, func(t *testing.T) {
			nodes := startCluster(t, clusterOptions{nodes: 3, transport: transport})
			e := &env{ctx: testContext(t), nodes: nodes}
			open := func(c interface {
				Open(context.Context, string, ...SpaceOption) (*Lockspace, error)
			}) *Lockspace {
				t.Helper()
				s, err := c.Open(e.ctx, "test", RangeSeparator('/'))
				expect(t, "Open", err, nil)
				return s
			}
			client := dialNode(t, nodes[0], "unix", transport)
			gone := dialNode(t, nodes[0], "unix", transport)
			own, remote, leaves, other := open(nodes[0]), open(client), open(gone), open(nodes[1])
			open(nodes[2])

			var names []string
			name := func(prefix string) string {
				names = append(names, e.notOf(t, 1, other, prefix))
				return names[len(names)-1]
			}
			for range 20 { // mastered here or there, unused
				e.unlock(t, e.must(t, own, name("unused-"), EX))
			}
			e.must(t, leaves, name("orphan-"), EX, Persistent())
			e.must(t, remote, name("persistent-"), EX, Persistent())
			expect(t, "Close", gone.Close(), nil)
			key := name("range-") + "/"
			for ; ; key = e.name() + "/" {
				expect(t, "Delegate", own.Delegate(e.ctx, key), nil)
				if len(nodes[1].n.Space("test").Ranges())+len(nodes[2].n.Space("test").Ranges()) > 0 {
					break // node 1 is not the directory node of the key itself
				}
			}
			names = append(names, key+"a", key+"b", key+"c")
			e.must(t, own, key+"a", EX)
			e.unlock(t, e.must(t, own, key+"b", EX))
			disk := name("disk-")
			keep := e.openBytes(t, other, disk)
			for i, s := range []*Lockspace{own, remote} {
				expect(t, "Lock", e.openBytes(t, s, disk).Lock(e.ctx, 1, WriteRange, int64(10*i), 10), nil)
			}
			busy := e.must(t, other, name("busy-"), EX)
			waiting := []<-chan outcome{begin(e.ctx, own, busy.Name(), EX), begin(e.ctx, remote, busy.Name(), PR)}
			until(t, e.ctx, "that they wait", func() bool { return len(resource(t, nodes, "test", busy.Name()).Waiting) == 2 })
			e.must(t, own, name("new-"), EX, New())

			expect(t, "Close", nodes[0].Close(e.ctx), nil)
			expect(t, "a request that waited", wait(t, e.ctx, "its end", waiting[0]).err, ErrClosed)
			expect(t, "a client's that waited", wait(t, e.ctx, "its end", waiting[1]).err, ErrSessionLost)
			until(t, e.ctx, "that the others are through with its messages", func() bool { return len(traces(t, nodes[1:], "test", 1)) == 0 })
			expect(t, "the bytes", keep.TryLock(e.ctx, 1, WriteRange, 0, 0), nil)
			e.unlock(t, busy)
			for _, n := range names {
				l, err := other.TryLock(e.ctx, n, EX)
				expect(t, "TryLock of "+n, err, nil)
				e.unlock(t, l)
			}
		})
	}
}
