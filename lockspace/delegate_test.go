package lockspace

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// This file tests delegated ranges. In the scripts the directory node of the
// range is node 3, node 1 is or becomes its owner, and node 4 is the finder.

var slash = RangeLast('/')

// rangeCall is a Delegate or Return as a program sees it.
type rangeCall struct {
	n        *node
	instance uint64 // of n when it was asked
	key      string
	ends     int
	st       Status
	owner    uint64
}

func (r *rangeCall) complete(n *node, id, tag uint64, c *Completion) {
	if r.ends++; n != r.n || id != 0 || tag != 9 || r.ends > 1 || c.Mode != NoMode {
		n.c.fatalf("node %d: completion %d of %q with id %d, tag %d, %v", n.id, r.ends, r.key, id, tag, c)
	}
	r.st, r.owner = c.Status, c.Token
}

// delegate asks for a range.
func (n *node) delegate(key string) *rangeCall {
	n.c.t.Helper()
	return n.rangeCall(key, (*Shard).Delegate)
}

// giveBack returns a range.
func (n *node) giveBack(key string) *rangeCall {
	n.c.t.Helper()
	return n.rangeCall(key, (*Shard).Return)
}

func (n *node) rangeCall(key string, f func(s *Shard, now int64, key []byte, user any, tag uint64) Status) *rangeCall {
	r := &rangeCall{n: n, instance: n.instance, key: key}
	n.c.now++
	closed := n.closed
	b := []byte(key)
	if st := f(n.shardOf(key), n.now(), b, r, 9); st != wire.OK {
		r.st, r.ends = st, 1
	}
	for i := range b {
		b[i] = 0xa5 // it must have been copied
	}
	n.after(closed)
	return r
}

func (r *rangeCall) want(st Status) {
	r.n.c.t.Helper()
	if r.ends != 1 || r.st != st {
		r.n.c.fatalf("node %d, range %q: %d outcomes, %v, want %v", r.n.id, r.key, r.ends, r.st, st)
	}
}

// key finds a range key with this prefix whose directory node is dir.
func (c *cluster) key(prefix string, dir int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprintf("%s%d/", prefix, i); int(c.view.Directory(c.route(key))) == dir {
			return key
		}
	}
}

// owned gives a range of directory node 3 that node id has.
func (c *cluster) owned(id int) string {
	c.t.Helper()
	key := c.key("k", 3)
	r := c.node(id).delegate(key)
	c.about(key)
	r.want(wire.OK)
	return key
}

// total counts the messages sent so far.
func (c *cluster) total() (n int) {
	for _, k := range c.sent {
		n += k
	}
	return n
}

// returnAll gives all ranges back, so that windDown finds nothing left.
func (c *cluster) returnAll() {
	c.t.Helper()
	c.settle()
	for _, n := range c.nodes {
		for _, s := range n.shards {
			s.Ranges(func(i RangeInfo) bool {
				if i.State == "owned" {
					defer n.giveBack(string(i.Key))
				}
				return true
			})
		}
	}
	c.settle()
}

// rangeScript runs a script with all rules, then without one, as withAndWithout
// does.
func rangeScript(t *testing.T, rule Rules, script func(c *cluster) string) {
	t.Helper()
	t.Run("with", func(t *testing.T) {
		c := newRangeCluster(t, 4, 1, slash, 0)
		if v := script(c); v != "" {
			t.Fatal(v)
		}
		c.returnAll()
		c.windDown()
	})
	if rule == 0 {
		return
	}
	t.Run("without", func(t *testing.T) {
		if v := script(newRangeCluster(t, 4, 1, slash, rule)); v == "" {
			t.Fatal("the script does not show what the rule is for")
		}
	})
}

// What is created in one's own range sends no message at all, and has no claim
// that could hold anything back.
func TestRangeCreate(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.owned(1)
		before := c.total()
		var locks []*tlock
		for i := range 1000 {
			flags := NewName
			if i%2 == 0 {
				flags = 0
			}
			l := c.node(1).lock(fmt.Sprintf("%s%d", key, i), EX, flags)
			if !l.holds(EX) || l.open {
				t.Fatalf("creation %d: %v, under a claim %v", i, l.mode, l.open)
			}
			locks = append(locks, l)
		}
		for _, l := range locks {
			l.convert(PR, 0, nil)
			l.unlock(0, nil)
		}
		c.idle()
		if n := c.total() - before; n != 0 || c.node(1).shards[0].Stats().Resources != 0 {
			return fmt.Sprintf("%d messages for 1000 creations, %d names left", n, c.node(1).shards[0].Stats().Resources)
		}
		return ""
	})
}

// Others find the owner through the directory node of the key.
func TestRangeFind(t *testing.T) {
	rangeScript(t, NoRelay, func(c *cluster) string {
		key := c.owned(1)
		x := key + "x"
		l := c.node(1).lock(x, EX, NewName)
		f := c.node(4).lock(x, EX, 0)
		c.settle()
		d := c.node(3).lock(x, PR, 0)
		c.settle()
		if f.holds(EX) || d.holds(PR) {
			return "creator and finder both hold it"
		}
		l.unlock(0, nil)
		c.settle()
		if !f.holds(EX) || f.last.Hops != 3 {
			t.Errorf("the finder has %v after %d messages", f.mode, f.last.Hops)
		}
		f.unlock(0, nil)
		c.settle()
		if !d.holds(PR) {
			t.Error("the directory node has not got it")
		}
		return ""
	})
}

// A range is delegated while its names are in use: masters, waiting requests
// and entries of all kinds stay what they are.
func TestDelegateInUse(t *testing.T) {
	rangeScript(t, NoEntries, func(c *cluster) string {
		key := c.key("k", 3)
		held := []*tlock{
			c.hold(1, key+"owner", EX, 0), c.hold(2, key+"other", EX, 0), c.hold(3, key+"dir", EX, 0),
		}
		waits := c.node(4).lock(key+"other", EX, 0)
		c.settle()
		r := c.node(1).delegate(key)
		c.settle()
		r.want(wire.OK)
		for _, l := range held {
			for _, id := range []int{1, 2, 3, 4} {
				f := c.node(id).lock(l.name, EX, NoQueue)
				c.settle()
				if f.holds(EX) {
					return fmt.Sprintf("node %d has %q, which node %d holds", id, l.name, l.n.id)
				}
			}
		}
		held[1].unlock(0, nil)
		c.settle()
		if !waits.holds(EX) {
			t.Error("who waited has not got it")
		}
		return ""
	})
}

// Claims on names of the range are open while it is delegated. Their NOTIFY is
// on its way; it arrives before the range moves, or goes round.
func TestDelegateClaims(t *testing.T) {
	for _, id := range []int{1, 2} { // the owner's claim, another's
		rangeScript(t, 0, func(c *cluster) string {
			key := c.key("k", 3)
			early, late := key+"early", key+"late"
			a := c.node(id).lock(early, EX, NewName)
			b := c.node(id).lock(late, EX, NewName)
			c.one(id, 3, early, wire.Notify)
			r := c.node(1).delegate(key)
			c.about(key)
			r.want(wire.OK)
			c.one(id, 3, late, wire.Notify)
			c.one(3, 1, late, wire.Relay)
			c.settle()
			if a.confirmed != 1 || b.confirmed != 1 || a.open || b.open {
				return "a claim is not confirmed"
			}
			for _, name := range []string{early, late} {
				f := c.node(4).lock(name, EX, NoQueue)
				c.settle()
				if f.holds(EX) {
					return "two hold " + name
				}
			}
			return ""
		})
	}
}

// Another creator met an old master: REJECT comes from the owner.
func TestRangeWrongNew(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.owned(1)
		x := key + "x"
		c.hold(2, x, EX, 0)
		for _, id := range []int{3, 4} {
			n := c.node(id).lock(x, EX, NewName)
			if !n.holds(EX) || !n.open {
				t.Fatal("no claim")
			}
			c.settle()
			if !n.lost || len(c.node(id).conflicts) != 1 {
				return fmt.Sprintf("node %d: nobody was told", id)
			}
		}
		return ""
	})
}

// Two nodes want one range.
func TestDelegateTwice(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.key("k", 3)
		a, b, d := c.node(1).delegate(key), c.node(2).delegate(key), (*rangeCall)(nil)
		again := c.node(1).delegate(key) // two callers, one question
		c.about(key)
		first, other := a, b
		if a.st != wire.OK {
			first, other = b, a
		}
		first.want(wire.OK)
		other.want(wire.RangeTaken)
		if other.owner != uint64(first.n.id) || again.ends != 1 || c.sent[wire.AskRange] != 2 {
			t.Errorf("owner %d, second caller %v, %d questions", other.owner, again.st, c.sent[wire.AskRange])
		}
		d = c.node(3).delegate(key)
		d.want(wire.RangeTaken)
		c.node(3).giveBack(key).want(wire.NoSuchRange)
		other.n.giveBack(key).want(wire.NoSuchRange)
		first.n.delegate(key).want(wire.OK) // has it already
		first.n.giveBack(key).want(wire.OK)
		c.about(key)
		third := other.n.delegate(key)
		c.about(key)
		third.want(wire.OK)
		return ""
	})
}

// The directory node keeps a range for itself.
func TestDelegateOwn(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.key("k", 3)
		c.hold(3, key+"x", EX, 0)
		c.node(3).delegate(key).want(wire.OK)
		r := c.node(1).delegate(key)
		f := c.node(4).lock(key+"x", EX, NoQueue)
		c.settle()
		r.want(wire.RangeTaken)
		if f.holds(EX) || r.owner != 3 {
			t.Errorf("finder has %v, owner %d", f.mode, r.owner)
		}
		c.node(3).giveBack(key).want(wire.OK)
		return ""
	})
}

// Return before the range has come: it goes back at once.
func TestDelegateUnwanted(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.key("k", 3)
		r := c.node(1).delegate(key)
		c.node(1).giveBack(key).want(wire.OK)
		r.want(wire.Cancelled)
		c.about(key)
		if c.sent[wire.Return] != 1 || len(c.node(1).shards[0].ranges)+len(c.node(3).shards[0].ranges) != 0 {
			return "the range has not gone back"
		}
		r = c.node(1).delegate(key)
		c.node(1).giveBack(key).want(wire.OK)
		r.want(wire.Cancelled)
		r = c.node(1).delegate(key) // wanted after all
		c.about(key)
		r.want(wire.OK)
		return ""
	})
}

// While a Return waits for claims, the owner serves the range, and refuses
// another Delegate.
func TestReturnWaits(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.owned(1)
		x, _ := c.create(0)
		r := c.node(1).giveBack(key)
		again := c.node(1).giveBack(key)
		c.node(1).delegate(key).want(wire.Busy)
		l := c.node(1).lock(key+"l", EX, NewName)
		n := c.node(2).lock(key+"n", EX, NewName)
		f := c.node(4).lock(key+"f", EX, 0)
		c.about(key, key+"n", key+"f")
		if r.ends != 0 || !c.node(1).shards[0].Holding() || !l.holds(EX) || l.open || n.open || f.holds(EX) {
			t.Errorf("returned %d, l %v, n open %v, f %v", r.ends, l.mode, n.open, f.mode)
		}
		c.about(x) // the claim is confirmed
		r.want(wire.OK)
		again.want(wire.OK)
		c.settle()
		if !f.holds(EX) {
			return "the lookup that was kept has no answer"
		}
		return ""
	})
}

// A handover that would keep too many LOOKUPs waiting is given up.
func TestAbandon(t *testing.T) {
	for _, lend := range []bool{true, false} {
		c := newRangeCluster(t, 4, 1, slash, 0)
		key := c.key("k", 3)
		claimer, dir := 3, 3
		if !lend {
			c.owned(1)
			claimer, dir = 1, 1
		}
		y := c.node(claimer).lock(c.name("y", 2, 0), EX, NewName)
		var r *rangeCall
		if lend {
			r = c.node(1).delegate(key)
			c.about(key)
		} else {
			r = c.node(1).giveBack(key)
		}
		mine := c.node(dir).lock(key+"mine", EX, 0)
		mine.unlock(0, nil)
		c.now += testIdle + 1
		c.node(dir).tick() // not removed, as the range is leaving
		for i := range maxLookups + 1 {
			c.node(4).lock(fmt.Sprintf("%sl%d", key, i), EX, 0)
		}
		for _, l := range slices.Clone(c.busy) {
			if strings.HasPrefix(l.name, key) {
				c.about(l.name)
			}
		}
		c.about(key)
		r.want(wire.Limit)
		c.about(y.name)
		c.returnAll()
		c.windDown()
	}
}

// What nobody may ask for, and limits.
func TestDelegateRefused(t *testing.T) {
	c := newRangeCluster(t, 4, 1, slash, 0)
	for _, key := range []string{"", "abc", "a/b", strings.Repeat("x", wire.MaxName-1) + "/"} {
		c.node(1).delegate(key).want(wire.BadKey)
		c.node(1).giveBack(key).want(wire.NoSuchRange)
	}
	plain := newCluster(t, 4, 1, 0)
	plain.node(1).delegate("a/").want(wire.BadKey)
	n := 0
	for ; n < maxRanges; n++ {
		c.node(1).delegate(fmt.Sprintf("n%d/", n))
	}
	c.node(1).delegate("over/").want(wire.Limit)
	c.settle()
	if st := c.node(1).shards[0].Stats(); st.RangesOwned != maxRanges {
		t.Errorf("%d ranges", st.RangesOwned)
	}
	over := ""
	for i := 0; over == ""; i++ {
		if k := fmt.Sprintf("over%d/", i); c.view.Directory(c.route(k)) == 1 {
			over = k
		}
	}
	r := c.node(2).delegate(over)
	c.about(over)
	r.want(wire.Limit)

	c = newRangeCluster(t, 4, 1, slash, 0)
	key := c.key("k", 3)
	for range maxCallers {
		c.node(1).delegate(key)
	}
	c.node(1).delegate(key).want(wire.Limit)
	c.settle()
	c.create(0)
	for range maxCallers {
		c.node(1).giveBack(key)
	}
	c.node(1).giveBack(key).want(wire.Limit)
}

// Messages about ranges that match nothing change nothing.
func TestRangeNonsense(t *testing.T) {
	c := newRangeCluster(t, 4, 1, slash, 0)
	key := c.owned(1)
	own, dir := c.node(1).shards[0], c.node(3).shards[0]
	gen := dir.ranges[key].gen
	entries := wire.EntryList(nil).Append([]byte("other/x"), wire.Life{Instance: instanceOf(2), Counter: 1}).
		Append([]byte(key+"x"), wire.Life{})
	for i, m := range []struct {
		to   *Shard
		from int
		m    wire.Msg
	}{
		{own, 3, wire.Msg{Type: wire.Delegate, Name: []byte(key), Seq: gen}},
		{own, 3, wire.Msg{Type: wire.Delegate, Name: []byte("never/"), Seq: 1}},
		{own, 3, wire.Msg{Type: wire.NoRange, Name: []byte(key), Status: wire.Limit}},
		{own, 3, wire.Msg{Type: wire.NoRange, Name: []byte("never/"), Status: wire.Limit}},
		{dir, 2, wire.Msg{Type: wire.Return, Name: []byte(key), Seq: gen}},
		{dir, 1, wire.Msg{Type: wire.Return, Name: []byte(key), Seq: gen + 1}},
		{dir, 1, wire.Msg{Type: wire.Return, Name: []byte("never/"), Seq: gen}},
		{dir, 1, wire.Msg{Type: wire.Relay, Name: []byte(key + "x"), Num: uint32(wire.Grant), Instance: instanceOf(2)}},
		{dir, 1, wire.Msg{Type: wire.Relay, Name: []byte(key + "x"), Num: 1 << 20, Instance: instanceOf(2)}},
		{dir, 1, wire.Msg{Type: wire.Relay, Name: []byte(key + "x"), Num: uint32(wire.Remove), Instance: instanceOf(77)}},
		{dir, 1, wire.Msg{Type: wire.Return, Name: []byte(key), Seq: gen, Num: 1, Entries: entries}},
	} {
		before := m.to.Stats().Ignored
		m.to.Deliver(c.now, Origin{Instance: instanceOf(uint16(m.from)), Epoch: 1}, Hash(m.m.Name), &m.m)
		if got := m.to.Stats().Ignored; got == before {
			t.Errorf("%d: %v is not ignored", i, m.m.Type)
		}
	}
	for _, bad := range []string{"nokey", c.key("k", 2)} {
		dir.Deliver(c.now, Origin{Instance: instanceOf(1), Epoch: 1}, Hash([]byte(bad)), &wire.Msg{Type: wire.AskRange, Name: []byte(bad)})
		if got := c.pending(3, 1, bad); !slices.Equal(got, []wire.Type{wire.NoRange}) {
			t.Errorf("asked for %q, the answer is %v", bad, got)
		}
	}
	c.settle()
	c.returnAll()
	c.windDown()
}

// A range with more entries than one message holds.
func TestManyEntries(t *testing.T) {
	rangeScript(t, 0, func(c *cluster) string {
		key := c.key("k", 3)
		const n = 3000
		for i := range n {
			c.node(2).lock(fmt.Sprintf("%s%032d", key, i), EX, NewName)
		}
		c.settle()
		r := c.node(1).delegate(key)
		c.about(key)
		r.want(wire.OK)
		sent := c.sent[wire.Delegate]
		if sent < 2 || c.node(1).shards[0].names.n != n || c.node(3).shards[0].names.n != 0 {
			return fmt.Sprintf("%d messages, %d and %d names", sent, c.node(1).shards[0].names.n, c.node(3).shards[0].names.n)
		}
		c.node(1).giveBack(key)
		c.about(key)
		if c.sent[wire.Return] != sent || c.node(1).shards[0].names.n != 0 || c.node(3).shards[0].names.n != n {
			return "not all has gone back"
		}
		return ""
	})
}

func TestRangeInfo(t *testing.T) {
	c := newRangeCluster(t, 4, 1, slash, 0)
	key := c.owned(1)
	c.create(0)
	c.node(1).giveBack(key)
	other := c.key("other", 2)
	c.node(1).delegate(other)
	got := func(id int) (all []string) {
		c.node(id).shards[0].Ranges(func(i RangeInfo) bool {
			all = append(all, fmt.Sprintf("%s %s %d", i.Key, i.State, i.Owner))
			return true
		})
		return all
	}
	if g := got(1); !slices.Equal(g, []string{key + " returning 1", other + " asking 1"}) {
		t.Errorf("node 1: %q", g)
	}
	if g := got(3); !slices.Equal(g, []string{key + " lent 1"}) {
		t.Errorf("node 3: %q", g)
	}
	calls := 0
	c.node(1).shards[0].Ranges(func(RangeInfo) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}
