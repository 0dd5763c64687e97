package lockspace

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// lane is a node of one shard that is as cheap a host as there can be: its messages wait
// encoded until pump delivers them.
type lane struct {
	testCommon
	id    uint16
	s     *Shard
	out   map[uint16]*[]byte
	grown int // completions
}

func (n *lane) Send(to uint16, m *wire.Msg) {
	if q := n.out[to]; q != nil {
		*q = m.Append(*q)
	}
}
func (n *lane) Complete(_ any, _, _ uint64, _ *Completion) { n.grown++ }
func (n *lane) Blocking(any, uint64, Mode)                 {}
func (n *lane) Confirmed(any, uint64)                      {}
func (n *lane) Lost(any, uint64)                           {}
func (n *lane) Bytes(any, uint64, uint64, *ByteOutcome)    {}
func (n *lane) Conflict([]byte, wire.Life)                 {}
func (n *lane) MayClaim(uint16) bool                       { return true }

// lanes are nodes 1 to n.
type lanes struct {
	b     testing.TB
	nodes []*lane
	now   int64
}

func newLanes(b testing.TB, n int) *lanes {
	c := &lanes{b: b, now: 1e9}
	v := c.view(1, n)
	for _, m := range v.Members {
		nd := &lane{id: m.ID, out: map[uint16]*[]byte{}}
		nd.testCommon = testCommon{fatalf: b.Fatalf, open: map[uint64]bool{}, limit: 1 << 20}
		for _, o := range v.Members {
			if o.ID != m.ID {
				nd.out[o.ID] = new([]byte)
			}
		}
		s, err := New(Config{Self: m.Instance, View: v, Shards: 1, Host: nd, Common: &nd.testCommon, IdleAfter: 1e12})
		if err != nil {
			b.Fatal(err)
		}
		nd.s = s
		c.nodes = append(c.nodes, nd)
	}
	return c
}

func (c *lanes) view(epoch uint64, n int) *View {
	var members []Member
	for id := 1; id <= n; id++ {
		members = append(members, Member{ID: uint16(id), Instance: instanceOf(uint16(id))})
	}
	v, err := NewView(epoch, members)
	if err != nil {
		c.b.Fatal(err)
	}
	return v
}

// pump delivers all that is under way, and works, until nothing is left.
func (c *lanes) pump() {
	for more := true; more; {
		more = false
		for _, from := range c.nodes {
			for to, q := range from.out {
				payload := *q
				*q = (*q)[len(*q):]
				if len(payload) == 0 {
					continue
				}
				more = true
				if int(to) > len(c.nodes) {
					continue
				}
				c.deliver(from, c.nodes[to-1].s, payload)
			}
		}
		for _, n := range c.nodes {
			for n.s.Working() {
				more = true
				n.s.Work(c.now, 128)
			}
		}
	}
}

func (c *lanes) deliver(from *lane, to *Shard, payload []byte) {
	var m wire.Msg
	for len(payload) > 0 {
		n, err := m.Decode(payload)
		if err != nil {
			c.b.Fatal(err)
		}
		to.Deliver(c.now, Origin{Instance: instanceOf(from.id), Epoch: from.s.Epoch(), Clock: from.clock}, Hash(m.Name), &m)
		payload = payload[n:]
	}
}

// hold takes n locks: every share-th name is mastered by the last node, no lock is held
// there or at its master.
func (c *lanes) hold(n, share int) {
	live := len(c.nodes) - 1
	for from := 0; from < n; from += 4096 {
		ids := map[int]uint64{}
		master := func(i int) int {
			if i%share == 0 {
				return live
			}
			return i % live
		}
		for i := from; i < min(n, from+4096); i++ {
			ids[i] = c.lock(c.nodes[master(i)], i, NL, NewName)
		}
		c.pump()
		for i := from; i < min(n, from+4096); i++ {
			h := i / 7 % live
			if h == master(i) {
				h = (h + 1) % live
			}
			c.lock(c.nodes[h], i, EX, 0)
		}
		c.pump()
		for i := from; i < min(n, from+4096); i++ {
			if st := c.nodes[master(i)].s.Unlock(c.now, ids[i], 0, nil); st != wire.OK {
				c.b.Fatal(st)
			}
		}
		c.pump()
	}
}

func (c *lanes) lock(n *lane, i int, mode Mode, flags uint32) uint64 {
	name := fmt.Appendf(nil, "       2%16x", i)
	id, st := n.s.Lock(c.now, &Request{Name: name, Hash: Hash(name), Mode: mode, Flags: flags, User: c})
	if st != wire.OK {
		c.b.Fatal(st)
	}
	return id
}

// cpuTime gives what this process has used of the processors: others may use them, too.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkRecover is the work of the four nodes that live of five, of which one is gone
// that was master of a fifth of all names: per name of these.
func BenchmarkRecover(b *testing.B) {
	for _, n := range []int{50_000, 300_000} {
		b.Run(fmt.Sprintf("%dk", n/1000), func(b *testing.B) {
			var took time.Duration
			var bytes, mallocs uint64
			for range b.N {
				c := newLanes(b, 5)
				c.hold(n, 5)
				c.nodes = c.nodes[:4]
				for _, nd := range c.nodes {
					for _, q := range nd.out {
						*q = make([]byte, 0, 40*n)
					}
				}
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := cpuTime(b)
				v := c.view(2, 4)
				for _, nd := range c.nodes {
					nd.s.Install(c.now, v)
				}
				c.pump()
				took += cpuTime(b) - start
				runtime.ReadMemStats(&after)
				bytes, mallocs = bytes+after.TotalAlloc-before.TotalAlloc, mallocs+after.Mallocs-before.Mallocs
				for _, nd := range c.nodes {
					if nd.s.Recovering() {
						b.Fatal("still recovering")
					}
				}
			}
			per := float64(b.N * n / 5)
			b.ReportMetric(float64(took)/per, "cpu-ns/name")
			b.ReportMetric(float64(bytes)/per, "B/name")
			b.ReportMetric(float64(mallocs)/per, "allocs/name")
		})
	}
}
