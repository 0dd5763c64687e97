package lockspace

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is what must hold for all inputs: the algebra of the tables, and
// the data structures against the obvious thing. Small domains are gone through
// completely; large ones are drawn (a failure is shrunk, and replayed with the
// flag it prints).

func excludes(m Mode) (set uint8) { return 0x3f &^ compatible[m] }

func forModes(f func(a, b Mode)) {
	for a := NL; a <= EX; a++ {
		for b := NL; b <= EX; b++ {
			f(a, b)
		}
	}
}

// Compatibility is symmetric; NL excludes nothing but itself nobody, EX all
// above NL; and of two modes that can be compared the stronger excludes more.
func TestCompatibilityAlgebra(t *testing.T) {
	weaker := map[Mode][]Mode{CR: {NL}, CW: {CR}, PR: {CR}, PW: {CW, PR}, EX: {PW}}
	forModes(func(a, b Mode) {
		if Compatible(a, b) != Compatible(b, a) {
			t.Errorf("%v and %v: not symmetric", a, b)
		}
		if a == NL && !Compatible(a, b) || a == EX && b > NL && Compatible(a, b) {
			t.Errorf("%v beside %v", a, b)
		}
		if slices.Contains(weaker[a], b) && excludes(b)&^excludes(a) != 0 {
			t.Errorf("%v excludes what %v does not", b, a)
		}
	})
}

// QUECVT is for conversions that begin to exclude something: those upwards,
// and both ways between PR and CW.
func TestQuecvtAlgebra(t *testing.T) {
	forModes(func(from, to Mode) {
		up := excludes(to)&^excludes(from) != 0 || from == NL && to == CR
		if got := quecvtAllowed[from]>>to&1 == 1; got != up {
			t.Errorf("%v to %v: %v", from, to, got)
		}
		if middle(from, to) && (!up || !middle(to, from)) {
			t.Errorf("%v to %v is between", from, to)
		}
	})
}

// Who may write is exclusive among writers: it writes on the way down, and
// where it stays. What goes up, or comes from nothing, reads. The rest is readers
// that go down.
func TestValueAlgebra(t *testing.T) {
	forModes(func(from, to Mode) {
		want := valueNone
		switch {
		case exclusive(from) && to <= from:
			want = valueWrite
		case from == NL || to >= from:
			want = valueRead
		}
		if got := valueOpOf(from, to); got != want {
			t.Errorf("%v to %v: %d, want %d", from, to, got, want)
		}
		if valueOpOf(NoMode, to) != valueRead {
			t.Errorf("a new lock in %v does not read", to)
		}
		if exclusive(from) && exclusive(to) && Compatible(from, to) {
			t.Errorf("%v and %v write at the same time", from, to)
		}
	})
}

func modeGen() *rapid.Generator[Mode] {
	return rapid.Custom(func(t *rapid.T) Mode { return Mode(rapid.IntRange(0, int(EX)).Draw(t, "mode")) })
}

// drawQueues draws a resource in any state, also in some that no history leads to; but what is
// held excludes nothing that is held, which conflicts stands on.
func drawQueues(t *rapid.T) (r *resource, all []*Lock) {
	r = &resource{rare: &rare{}}
	held := func() Mode {
		m := modeGen().Draw(t, "granted")
		for _, o := range all {
			if !Compatible(o.granted, m) {
				return NL
			}
		}
		return m
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "locks") {
		l := &Lock{res: r, lockState: lockState{id: uint64(i), granted: NoMode, wanted: NoMode, high: NoMode}}
		switch rapid.IntRange(0, 2).Draw(t, "queue") {
		case 0:
			l.granted = held()
			r.granted.push(l)
		case 1:
			l.granted, l.wanted = held(), modeGen().Draw(t, "wanted")
			r.convert.push(l)
		case 2:
			l.wanted = modeGen().Draw(t, "wanted")
			r.waiting.push(l)
		}
		if rapid.Bool().Draw(t, "quecvt") {
			l.flags = QueCvt
		}
		all = append(all, l)
	}
	return r, all
}

// What may be granted may be granted when another lock has gone.
func TestGrantableMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, all := drawQueues(t)
		l := rapid.SampledFrom(all).Draw(t, "l")
		gone := rapid.SampledFrom(all).Draw(t, "gone")
		first := rapid.Bool().Draw(t, "first")
		if l == gone || l.wanted == NoMode || !(&Shard{view: &View{Epoch: 1}}).grantable(r, l, first) {
			return
		}
		if gone.unqueue(); !(&Shard{view: &View{Epoch: 1}}).grantable(r, l, first) {
			t.Fatalf("lock %d may not be granted any more without lock %d", l.id, gone.id)
		}
	})
}

// A conversion up that is granted at once, and back, leaves all queues as they
// were, whatever else waits.
func TestUpAndDown(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newCluster(t, 1, 1, 0)
		c.abort = func(why string) { rt.Fatal(why) }
		x := c.name("x", 1, 0)
		for range rapid.IntRange(1, 8).Draw(rt, "locks") {
			l := c.node(1).lock(x, modeGen().Draw(rt, "mode"), 0)
			if l.holds(l.mode) && rapid.Bool().Draw(rt, "convert") {
				l.convert(modeGen().Draw(rt, "to"), 0, nil)
			}
		}
		i := rapid.IntRange(0, len(c.locks)-1).Draw(rt, "l")
		l, to := c.locks[i], modeGen().Draw(rt, "up")
		if !l.holds(l.mode) || l.mode == NoMode || excludes(l.mode)&^excludes(to) != 0 {
			return
		}
		before, from := queuesText(c.node(1).resource(x)), l.mode
		if l.convert(to, NoQueue, nil); l.last.Status == wire.OK {
			l.convert(from, 0, nil)
		}
		if after := queuesText(c.node(1).resource(x)); after != before {
			rt.Fatalf("%v to %v and back:\n%s\nbecame\n%s", from, to, before, after)
		}
	})
}

func queuesText(r *resource) (t string) {
	for _, q := range []*queue{&r.granted, &r.convert, &r.waiting} {
		for l := q.head; l != nil; l = l.next {
			t += fmt.Sprintf(" %d:%v>%v", l.id, l.granted, l.wanted)
		}
		t += ";"
	}
	return t
}

// The tables hold what a Go map would, whatever collides.
func TestResTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table resTable
		want := map[string]*resource{}
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(0, 300).Draw(t, "name")) })
		hash := func(name string) uint64 { return Hash([]byte(name)) & 0x3f } // many fall on one slot, some on one hash
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					n := name.Draw(t, "name")
					if want[n] == nil {
						r := table.get()
						r.hash, r.nameLen = hash(n), uint8(copy(r.nameBuf[:], n))
						table.insert(r)
						want[n] = r
					}
				}
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "name")
				if r := want[n]; r != nil {
					table.remove(r)
					table.free = append(table.free, r.at)
					delete(want, n)
				}
			},
			"": func(t *rapid.T) {
				if table.n != len(want) {
					t.Fatalf("%d entries, want %d", table.n, len(want))
				}
				for i := range 301 {
					n := fmt.Sprint(i)
					if got := table.find(hash(n), []byte(n)); got != want[n] {
						t.Fatalf("%q: found %p, want %p", n, got, want[n])
					}
				}
			},
		})
	})
}

func TestLockTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type key struct{ owner, id uint64 }
		var table lockTable
		want := map[key]*Lock{}
		// Owners and ids are so few that owner^id, which is hashed, is often the same.
		draw := rapid.Custom(func(t *rapid.T) key {
			return key{rapid.Uint64Range(1, 15).Draw(t, "owner"), rapid.Uint64Range(1, 15).Draw(t, "id")}
		})
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					if k := draw.Draw(t, "lock"); want[k] == nil {
						l := table.get()
						l.owner, l.id = k.owner, k.id
						table.insert(l)
						want[k] = l
					}
				}
			},
			"remove": func(t *rapid.T) {
				k := draw.Draw(t, "lock")
				if l := want[k]; l != nil {
					table.remove(l)
					table.put(l)
					delete(want, k)
				}
			},
			"": func(t *rapid.T) {
				if table.n != len(want) {
					t.Fatalf("%d entries, want %d", table.n, len(want))
				}
				for owner := range uint64(17) {
					for id := range uint64(17) {
						if got := table.find(owner, id); got != want[key{owner, id}] {
							t.Fatalf("%d of %d: found %p, want %p", id, owner, got, want[key{owner, id}])
						}
					}
				}
			},
		})
	})
}

// A member that leaves, or comes, moves its own slots only; and the order in
// which members are listed does not matter.
func TestViewSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.Uint16Range(1, 65535), 2, 12, rapid.ID).Draw(t, "members")
		view := func(ids []uint16) *View {
			var members []Member
			for _, id := range ids {
				members = append(members, Member{ID: id, Instance: instanceOf(id)})
			}
			v, err := NewView(1, members)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		all := view(ids)
		if got := view(rapid.Permutation(ids).Draw(t, "order")); got.slots != all.slots {
			t.Fatal("the order of members matters")
		}
		gone := rapid.IntRange(0, len(ids)-1).Draw(t, "gone")
		rest := view(slices.Delete(slices.Clone(ids), gone, gone+1))
		for i := range all.slots {
			if a, b := all.slots[i], rest.slots[i]; a != b && a != ids[gone] || b == ids[gone] {
				t.Fatalf("slot %d: %d, and %d without %d", i, a, b, ids[gone])
			}
		}
	})
}

// The lists of claims and of idle names keep the order of push, whatever is
// removed.
func TestLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var claims claimList
		var idle idleList
		var names resTable
		var wantClaims []*claim
		var wantIdle, wantKept []*resource
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				c, r := &claim{}, names.get()
				claims.push(c)
				idle.push(r, 0, 0)
				wantClaims, wantIdle = append(wantClaims, c), append(wantIdle, r)
			},
			"remove": func(t *rapid.T) {
				if len(wantClaims) == 0 {
					return
				}
				i := rapid.IntRange(0, len(wantClaims)-1).Draw(t, "i")
				claims.remove(wantClaims[i])
				wantClaims = slices.Delete(wantClaims, i, i+1)
			},
			"remove name": func(t *rapid.T) {
				if len(wantIdle) == 0 {
					return
				}
				i := rapid.IntRange(0, len(wantIdle)-1).Draw(t, "i")
				idle.remove(wantIdle[i])
				idle.remove(wantIdle[i]) // a second time is harmless
				wantIdle = slices.Delete(wantIdle, i, i+1)
			},
			"keep": func(t *rapid.T) {
				if len(wantIdle) == 0 {
					return
				}
				i := rapid.IntRange(0, len(wantIdle)-1).Draw(t, "i")
				idle.keep(wantIdle[i])
				wantIdle, wantKept = slices.Delete(slices.Clone(wantIdle), i, i+1), append(wantKept, wantIdle[i])
			},
			"remove kept": func(t *rapid.T) {
				if len(wantKept) == 0 {
					return
				}
				i := rapid.IntRange(0, len(wantKept)-1).Draw(t, "i")
				idle.remove(wantKept[i])
				wantKept = slices.Delete(wantKept, i, i+1)
			},
			"": func(t *rapid.T) {
				var c []*claim
				for x := claims.head; x != nil; x = x.next {
					c = append(c, x)
				}
				unused, kept := named(&idle, &names, &idle.unused), named(&idle, &names, &idle.kept)
				if !slices.Equal(c, wantClaims) || claims.n != len(c) || !slices.Equal(unused, wantIdle) || !slices.Equal(kept, wantKept) {
					t.Fatalf("%d of %d claims, %d and %d of %d and %d names, or in another order",
						len(c), len(wantClaims), len(unused), len(kept), len(wantIdle), len(wantKept))
				}
			},
		})
	})
}

// named gives the names in a chain, and nil if its length is told wrong.
func named(idle *idleList, names *resTable, c *chain) (r []*resource) {
	for x := idle.at(c.head); x != nil; x = idle.after(x) {
		r = append(r, names.slab.at(x.name))
	}
	if c.n != len(r) {
		return nil
	}
	return r
}

// fenceHost takes what a shard sends.
type fenceHost struct {
	quiet
	sent []wire.Msg
	to   []uint16
}

func (h *fenceHost) Send(to uint16, m *wire.Msg) {
	h.sent, h.to = append(h.sent, *m), append(h.to, to)
}

// The outbox against its rule: a message to one node about one name leaves
// when all before it have left and, if it is gated, when the claims that were
// open when it was made are closed; not before, and not later.
func TestOutboxOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		common := &testCommon{fatalf: rt.Fatalf, open: map[uint64]bool{}, limit: 100}
		host := &fenceHost{}
		view, err := NewView(1, []Member{{ID: 1, Instance: instanceOf(1)}})
		if err != nil {
			rt.Fatal(err)
		}
		s, err := New(Config{Self: instanceOf(1), Shards: 1, View: view, Host: host, Common: common})
		if err != nil {
			rt.Fatal(err)
		}
		type lane struct {
			to   uint16
			name string
		}
		type made struct {
			op    uint32
			fence uint64 // 0: not gated
		}
		waiting := map[lane][]made{} // the model
		want, got := map[lane][]uint32{}, map[lane][]uint32{}
		op := uint32(0)
		rt.Repeat(map[string]func(*rapid.T){
			"claim": func(t *rapid.T) { common.OpenClaim() },
			"close": func(t *rapid.T) {
				var open []uint64
				for n := range common.open {
					open = append(open, n)
				}
				if len(open) == 0 {
					return
				}
				slices.Sort(open)
				common.CloseClaim(rapid.SampledFrom(open).Draw(t, "claim"))
				s.Release(1)
			},
			"send": func(t *rapid.T) {
				k := lane{rapid.Uint16Range(2, 3).Draw(t, "to"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "name")}
				op++
				m := made{op: op}
				gate := gating(rapid.Bool().Draw(t, "gated"))
				if gate == gated {
					m.fence = common.last
				}
				waiting[k] = append(waiting[k], m)
				r := s.resource(Hash([]byte(k.name)), []byte(k.name))
				s.send(r, k.to, &wire.Msg{Type: wire.Unlock, Op: op}, gate)
				s.release(r)
			},
			"": func(t *rapid.T) {
				for k, list := range waiting {
					for len(list) != 0 && common.closed >= list[0].fence {
						want[k] = append(want[k], list[0].op)
						list = list[1:]
					}
					waiting[k] = list
				}
				for i, m := range host.sent {
					k := lane{host.to[i], string(m.Name)}
					got[k] = append(got[k], m.Op)
				}
				host.sent, host.to = nil, nil
				held := 0
				for _, list := range waiting {
					held += len(list)
				}
				if !maps.EqualFunc(got, want, slices.Equal[[]uint32]) || s.outbox.n != held || s.Holding() != (held != 0) {
					t.Fatalf("sent %v, want %v; %d are held, want %d", got, want, s.outbox.n, held)
				}
			},
		})
	})
}
