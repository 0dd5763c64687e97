package lockify

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// Two owners on two nodes, each of whom wants what the other holds: the younger
// one's request ends with the cycle, the other's is granted when he gives up.
func TestDeadlockAcrossNames(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		for range 4 { // so that either node is master of some
			testCycle(t, e)
		}
	})
}

func testCycle(t *testing.T, e *env) {
	x, y := e.name(), e.name()
	older := Owner(e.a.NewOwner())
	e.b.NewOwner()
	number := e.b.NewOwner()
	younger := Owner(number)
	a := e.must(t, e.a, x, EX, older)
	b := e.must(t, e.b, y, PW, younger)
	start := time.Now()
	first := begin(e.ctx, e.a, y, CW, older)
	_, err := e.b.Lock(e.ctx, x, PR, younger)
	expect(t, "the younger owner's request", err, ErrDeadlock)
	t.Logf("found after %v", time.Since(start))
	var d *DeadlockError
	if !errors.As(err, &d) || len(d.Cycle) != 2 {
		t.Fatalf("error %#v", err)
	}
	one, two := d.Cycle[0], d.Cycle[1]
	if one.Name != x || one.Waiter.Mode != PR || one.Holder.Mode != EX || one.Waiter.Node != 2 || one.Holder.Node != 1 || one.Ahead {
		t.Errorf("first edge %v", &one)
	}
	if two.Name != y || two.Waiter.Mode != CW || two.Holder.Mode != PW || two.Waiter.Node != 1 || two.Holder.Node != 2 || two.Ahead {
		t.Errorf("second edge %v", &two)
	}
	if one.Waiter.Owner != number || two.Holder.Owner != number || (one.Waiter.Session != 0) != (e.dial != nil) {
		t.Errorf("owner %d: %v", number, d)
	}
	e.unlock(t, b)
	got := wait(t, e.ctx, "the grant", first)
	expect(t, "the older owner's request", got.err, nil)
	e.unlock(t, got.l)
	e.unlock(t, a)
}

// checkCycle: err names these edges. All parties are of sessions, or none.
func checkCycle(t *testing.T, err error, want []DeadlockEdge, sessions bool) {
	t.Helper()
	var d *DeadlockError
	if !errors.As(err, &d) || !errors.Is(err, ErrDeadlock) {
		t.Fatalf("error %v", err)
	}
	var got []DeadlockEdge
	for _, e := range d.Cycle {
		for _, p := range []*DeadlockParty{&e.Waiter, &e.Holder} {
			if (p.Session != 0) != sessions {
				t.Errorf("%v", p)
			}
			p.Session = 0
		}
		got = append(got, e)
	}
	if !slices.Equal(got, want) {
		t.Errorf("cycle %v\nwant  %v", got, want)
	}
}

// Circles of byte ranges of two names, and of byte ranges and a lock.
func TestDeadlockByteRanges(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		for range 4 { // so that either node is master of some
			testByteCycle(t, e)
			testMixedCycle(t, e)
		}
	})
}

func testByteCycle(t *testing.T, e *env) {
	x, y := e.name(), e.name()
	older := e.a.NewOwner()
	e.b.NewOwner()
	younger := e.b.NewOwner()
	ax, ay, bx, by := e.openBytes(t, e.a, x), e.openBytes(t, e.a, y), e.openBytes(t, e.b, x), e.openBytes(t, e.b, y)
	expect(t, "Lock", ax.Lock(e.ctx, older, ReadRange, 100, 0), nil)
	expect(t, "Lock", by.Lock(e.ctx, younger, WriteRange, 0, 10), nil)
	first := beginBytes(e.ctx, ay, older, ReadRange, 5, 20)
	start := time.Now()
	err := bx.Lock(e.ctx, younger, WriteRange, 200, 100)
	t.Logf("found after %v: %v", time.Since(start), err)
	checkCycle(t, err, []DeadlockEdge{{
		Name: x, Bytes: true,
		Waiter: DeadlockParty{Node: 2, Owner: younger, Mode: EX, Start: 200, Length: 100},
		Holder: DeadlockParty{Node: 1, Owner: older, Mode: PR, Start: 100},
	}, {
		Name: y, Bytes: true,
		Waiter: DeadlockParty{Node: 1, Owner: older, Mode: PR, Start: 5, Length: 20},
		Holder: DeadlockParty{Node: 2, Owner: younger, Mode: EX, Length: 10},
	}}, e.dial != nil)
	expect(t, "Unlock", by.Unlock(e.ctx, younger, 0, 0), nil)
	expect(t, "the older owner's request", wait(t, e.ctx, "the grant", first), nil)
	for _, r := range []*ByteRanges{ax, ay, bx, by} {
		expect(t, "Close", r.Close(e.ctx), nil)
	}
}

func testMixedCycle(t *testing.T, e *env) {
	x, y := e.name(), e.name()
	older := e.a.NewOwner()
	e.b.NewOwner()
	younger := e.b.NewOwner()
	l := e.must(t, e.a, x, CW, Owner(older))
	ay, by := e.openBytes(t, e.a, y), e.openBytes(t, e.b, y)
	expect(t, "Lock", by.Lock(e.ctx, younger, ReadRange, 0, 10), nil)
	first := beginBytes(e.ctx, ay, older, WriteRange, 9, 0)
	_, err := e.b.Lock(e.ctx, x, PR, Owner(younger))
	checkCycle(t, err, []DeadlockEdge{{
		Name: x, Waiter: DeadlockParty{Node: 2, Owner: younger, Mode: PR}, Holder: DeadlockParty{Node: 1, Owner: older, Mode: CW},
	}, {
		Name: y, Bytes: true,
		Waiter: DeadlockParty{Node: 1, Owner: older, Mode: EX, Start: 9},
		Holder: DeadlockParty{Node: 2, Owner: younger, Mode: PR, Length: 10},
	}}, e.dial != nil)
	expect(t, "Close", by.Close(e.ctx), nil)
	expect(t, "the older owner's request", wait(t, e.ctx, "the grant", first), nil)
	expect(t, "Close", ay.Close(e.ctx), nil)
	e.unlock(t, l)
}

// A conversion that is ended keeps its mode; LockAsync is told the same.
func TestDeadlockConversion(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		x, y := e.name(), e.name()
		one, two := Owner(e.a.NewOwner()), Owner(e.a.NewOwner())
		e.must(t, e.a, x, PR, one)
		b := e.must(t, e.a, x, PR, two)
		e.must(t, e.a, y, EX, two)
		done := make(chan error, 1)
		withdrawn := e.a.LockAsync(y, PR, func(_ *Lock, err error) { done <- err }, one)
		err := b.Convert(e.ctx, EX)
		expect(t, "the conversion", err, ErrDeadlock)
		var d *DeadlockError
		if !errors.As(err, &d) || b.Mode() != PR {
			t.Errorf("error %v, mode %v", err, b.Mode())
		}
		withdrawn.Cancel()
		expect(t, "the request", wait(t, e.ctx, "its end", done), ErrCancelled)
	})
}

// Clients of different nodes and sessions, and a program that embeds its node,
// on the same cycle: the numbers that each counts up say who is the youngest,
// not the order in which the sessions began.
func TestDeadlockSessions(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 2, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	program := e.open(t, 0, "test")
	e.dial = func(t testing.TB, node int) *Client { return dialNode(t, nodes[node], "unix", "plain") }
	spaces := []*Lockspace{e.open(t, 0, "test"), e.open(t, 1, "test"), program, e.open(t, 0, "test")}
	const victim = 1
	var owners []OwnerID
	for i, s := range spaces {
		for range 10 * (2 - i%2) { // 20 10 20 10; the victim makes more
			s.NewOwner()
		}
		owners = append(owners, s.NewOwner())
	}
	for range 50 {
		owners[victim] = spaces[victim].NewOwner()
	}
	for i, s := range spaces {
		e.must(t, s, fmt.Sprint("name ", i), EX, Owner(owners[i]))
	}
	var all []<-chan outcome
	for i, s := range spaces {
		all = append(all, begin(e.ctx, s, fmt.Sprint("name ", (i+1)%len(spaces)), PR, Owner(owners[i])))
	}
	got := wait(t, e.ctx, "a deadlock", all[victim])
	var d *DeadlockError
	if !errors.As(got.err, &d) || len(d.Cycle) != len(spaces) {
		t.Fatalf("error %v", got.err)
	}
	sessions := map[[2]uint64]bool{}
	for i := range d.Cycle {
		p := &d.Cycle[i].Waiter
		sessions[[2]uint64{uint64(p.Node), p.Session}] = true
		if want := owners[(victim+i)%len(spaces)]; p.Owner != want {
			t.Errorf("edge %d: %v, want owner %d", i, &d.Cycle[i], want)
		}
	}
	if len(sessions) != len(spaces) {
		t.Errorf("%v", d)
	}
	for i, ch := range all {
		select {
		case o := <-ch:
			t.Errorf("request %d ended, too: %v", i, o.err)
		default:
		}
	}
}

func TestDeadlockErrorText(t *testing.T) {
	err := &DeadlockError{Cycle: []DeadlockEdge{
		{Name: "x", Waiter: DeadlockParty{Node: 2, Owner: 2, Mode: PR}, Holder: DeadlockParty{Node: 1, Session: 9, Owner: 1, Mode: EX}},
		{
			Name: "y\x00", Waiter: DeadlockParty{Node: 1, Session: 9, Owner: 1, Mode: EX},
			Holder: DeadlockParty{Node: 3, Mode: CW}, Ahead: true,
		},
		{
			Name: "z", Waiter: DeadlockParty{Node: 1, Owner: 3, Mode: PR, Start: 10, Length: 5},
			Holder: DeadlockParty{Node: 2, Owner: 2, Mode: EX, Start: 7}, Bytes: true,
		},
	}}
	want := `lockify: deadlock: owner 2 on node 2 wants "x" in PR, which owner 1 of session 9 on node 1 holds in EX; ` +
		`owner 1 of session 9 on node 1 wants "y\x00" in EX, behind somebody on node 3, who wants it in CW; ` +
		`owner 3 on node 1 wants a read lock on bytes 10-14 of "z", where owner 2 on node 2 has a write lock on bytes 7-end`
	if err.Error() != want {
		t.Errorf("%s\nwant\n%s", err, want)
	}
	if !errors.Is(err, ErrDeadlock) {
		t.Error("no ErrDeadlock")
	}
}
