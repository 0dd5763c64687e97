package lockspace

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

func TestConfig(t *testing.T) {
	v, err := NewView(1, []Member{{ID: 1, Instance: instanceOf(1)}})
	if err != nil {
		t.Fatal(err)
	}
	good := Config{Self: instanceOf(1), Shards: 256, Shard: 255, ValueLen: wire.MaxValue, View: v, Host: &quiet{}, Common: &quiet{}}
	s, err := New(good)
	if err != nil || s.cfg.MaxLocks != 1<<24 {
		t.Errorf("%v, %d locks at most", err, s.cfg.MaxLocks)
	}
	if id := s.newLockID(); ShardOfLock(id) != 255 {
		t.Errorf("lock id %#x", id)
	}
	for name, spoil := range map[string]func(c *Config){
		"host":   func(c *Config) { c.Host = nil },
		"common": func(c *Config) { c.Common = nil },
		"self":   func(c *Config) { c.Self = 7 << 16 },
		"shards": func(c *Config) { c.Shards, c.Shard = 257, 0 },
		"none":   func(c *Config) { c.Shards, c.Shard = 0, 0 },
		"shard":  func(c *Config) { c.Shard = 256 },
		"before": func(c *Config) { c.Shard = -1 },
		"value":  func(c *Config) { c.ValueLen = wire.MaxValue + 1 },
		"length": func(c *Config) { c.ValueLen = -1 },
		"range":  func(c *Config) { c.Range = RangePrefix(wire.MaxName) },
		"idle":   func(c *Config) { c.IdleAfter = -1 },
		"drift":  func(c *Config) { c.Drift = -1 },
		"locks":  func(c *Config) { c.MaxLocks = -1 },
	} {
		c := good
		if spoil(&c); true {
			if _, err := New(c); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
	}
}

func TestView(t *testing.T) {
	var members []Member
	for id := uint16(1); id <= 5; id++ {
		members = append(members, Member{ID: id, Instance: instanceOf(id)})
	}
	five, err := NewView(1, members)
	if err != nil {
		t.Fatal(err)
	}
	four, err := NewView(2, members[:4])
	if err != nil {
		t.Fatal(err)
	}
	n := map[uint16]int{}
	for slot := range uint64(dirSlots) {
		h := slot << (64 - dirSlotBits)
		a, b := five.Directory(h), four.Directory(h)
		n[a]++
		if a != 5 && a != b {
			t.Fatalf("slot %d moves from %d to %d because 5 has left", slot, a, b)
		}
	}
	for id := uint16(1); id <= 5; id++ {
		if n[id] < dirSlots/5*8/10 || n[id] > dirSlots/5*12/10 {
			t.Errorf("node %d has %d of %d slots", id, n[id], dirSlots)
		}
	}
	for name, f := range map[string]func() (*View, error){
		"epoch 0":   func() (*View, error) { return NewView(0, members) },
		"big epoch": func() (*View, error) { return NewView(1<<24, members) },
		"empty":     func() (*View, error) { return NewView(1, nil) },
		"zero id":   func() (*View, error) { return NewView(1, []Member{{ID: 0}}) },
		"twice":     func() (*View, error) { return NewView(1, []Member{members[0], members[0]}) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestModeNames(t *testing.T) {
	for m := NL; m <= EX; m++ {
		low := string([]byte{m.String()[0] | 0x20, m.String()[1] | 0x20})
		for _, s := range []string{m.String(), low} {
			if got, ok := ParseMode(s); !ok || got != m {
				t.Errorf("ParseMode(%q) = %v, %v", s, got, ok)
			}
		}
	}
	for _, s := range []string{"", "E", "EXX", "XX", "--"} {
		if got, ok := ParseMode(s); ok || got != NoMode {
			t.Errorf("ParseMode(%q) = %v, %v", s, got, ok)
		}
	}
	if NoMode.String() != "--" {
		t.Errorf("NoMode is %q", NoMode)
	}
}

func TestInspect(t *testing.T) {
	c := newCluster(t, 3, 1, 0)
	x := c.name("x", 3, 0)
	m := c.hold(2, x, PW, 0)
	m.convert(PW, ValBlk, value(5))
	l := c.hold(1, x, CR, 0)
	l.convert(EX, 0, nil)
	c.node(1).lock(x, PR, 0)
	c.settle()
	find := func(id int) (i ResourceInfo) {
		c.node(id).shards[0].Inspect(func(r ResourceInfo) bool { i = r; return true })
		return i
	}
	i := find(2)
	if string(i.Name) != x || i.Role != "master" || i.Master != 2 || i.Directory != 3 || i.ValueSeq != 1 || string(i.Value) != string(value(5)) {
		t.Errorf("%+v", i)
	}
	if len(i.Granted) != 1 || i.Granted[0] != (LockInfo{ID: m.id, Node: 2, Granted: "PW", Token: m.last.Token, Since: i.Granted[0].Since}) ||
		len(i.Convert) != 1 || i.Convert[0].Wanted != "EX" || i.Convert[0].Granted != "CR" || len(i.Waiting) != 1 || i.Waiting[0].Granted != "--" {
		t.Errorf("%+v", i)
	}
	if held, waits := i.Granted[0].Since, i.Convert[0].Since; held <= c.node(2).offset || waits <= held || waits > c.node(2).now() {
		t.Errorf("held since %d, wanted since %d, it is %d", held, waits, c.node(2).now())
	}
	if d := find(3); d.Entry != 2 || d.Role != "unused" || d.Master != 0 {
		t.Errorf("%+v", d)
	}
	if r := find(1); r.Role != "remote" || r.Master != 2 {
		t.Errorf("%+v", r)
	}
	l = c.handle(1, c.name("b", 2, 0))
	l.bytes(7, wr, 10, 19, 0)
	c.settle()
	l.bytes(8, rd, 15, byterange.Last, 0)
	c.settle()
	want := []ByteInfo{
		{Lock: l.id, Node: 1, Owner: 7, Type: "write", Start: 10, End: 19},
		{Lock: l.id, Node: 1, Owner: 8, Type: "read", Start: 15, End: byterange.Last, Waiting: true},
	}
	var got []ByteInfo
	c.node(1).shards[0].Inspect(func(r ResourceInfo) bool { got = append(got, r.Bytes...); return true })
	if !slices.Equal(got, want) {
		t.Errorf("bytes %+v", got)
	}
	l.unlock(0, nil)
	calls := 0
	c.hold(2, c.name("y", 2, 0), NL, 0)
	c.node(2).shards[0].Inspect(func(ResourceInfo) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("went on after false: %d calls", calls)
	}
	own := map[uint64]any{}
	c.node(2).shards[0].Own(func(user any, id uint64) { own[id] = user })
	if len(own) != 2 || own[m.id] != any(m) {
		t.Errorf("own locks: %v", own)
	}
	c.windDown()
}

// Messages that match nothing change nothing.
func TestStrayMessages(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	c := newCluster(t, 3, 1, 0)
	x := c.name("x", 3, 0)
	a := c.hold(1, x, PR, 0)
	b := c.hold(2, x, PR, 0)
	w := c.node(2).lock(x, EX, 0)
	c.settle()
	before := inspect(c)
	for typ := wire.Type(1); typ <= wire.RangeReg; typ++ {
		for _, n := range c.nodes {
			from := instanceOf(n.id%3 + 1)
			for range 20 {
				life := wire.Life{Instance: instanceOf(uint16(1 + rng.IntN(3))), Counter: 1<<40 + rng.Uint64N(9)}
				m := wire.Msg{
					Type: typ, Name: []byte(x), Life: life, Other: wire.Life{Instance: instanceOf(1), Counter: 1 << 41},
					Claim: 1 << 40, Instance: from, Op: rng.Uint32N(3), Mode: uint8(rng.IntN(6)),
					Lock: []uint64{a.id, b.id, w.id, 1 << 50}[rng.IntN(4)],
				}
				switch {
				case typ == wire.Lookup, typ == wire.Notify, typ == wire.Reg && n.id == 3, typ == wire.Purge:
					continue // these always match
				case typ == wire.Probe, typ == wire.Chase, typ == wire.Verify:
					continue // these are dropped without being counted
				}
				ignored := n.shards[0].Stats().Ignored
				sent := c.sent
				n.shards[0].Deliver(n.now(), Origin{Instance: from, Epoch: 1}, Hash(m.Name), &m)
				if n.shards[0].Stats().Ignored == ignored && sent == c.sent {
					t.Fatalf("%v at node %d: neither answered nor counted", typ, n.id)
				}
				for _, l := range c.busy { // answers to nobody
					l.packets = nil
				}
				c.busy = c.busy[:0]
			}
		}
	}
	if after := inspect(c); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
	a.unlock(0, nil)
	b.unlock(0, nil)
	c.settle()
	if !w.holds(EX) {
		t.Error("the waiter hangs")
	}
	c.windDown()
}
