package cluster

import (
	"errors"
	"strings"
	"testing"
)

// pass carries messages between a member and the server until there are none.
func (so *solo) pass(m *Member, out Output) {
	so.t.Helper()
	for list := out.Messages; len(list) > 0; list = list[1:] {
		if !ForServer(list[0].Payload) {
			list = append(list, m.Deliver(so.now, list[0].Payload).Messages...)
			continue
		}
		out, err := so.s.Deliver(so.now, NodeOf(m.Instance()), "conn", list[0].Payload)
		if err != nil {
			so.t.Fatal(err)
		}
		list = append(list, out.Messages...)
	}
}

func newTestMember(t *testing.T, in uint64) *Member {
	t.Helper()
	m, err := NewMember(MemberConfig{Instance: in, Addr: "b", Retry: 100 * ms, Contacts: []Contact{{Addr: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMember: a node without an id joins, gets one, opens and closes lockspaces,
// is told views, and leaves.
func TestMember(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	m := newTestMember(t, instance(5, 0))
	if p, _ := m.Phase(); p != Joining || m.Valid(so.now) || m.State() != nil {
		t.Fatal("a member before it was let in")
	}
	if _, _, err := m.Ask(so.now, Command{Kind: Open, Space: "s"}); !errors.Is(err, ErrMember) {
		t.Fatalf("asks before it was let in: %v", err)
	}
	so.pass(m, m.Tick(so.now))
	if p, err := m.Phase(); p != Active || err != nil || m.Instance() != instance(5, 2) || !m.Valid(so.now) {
		t.Fatalf("phase %d, %v, instance %x", p, err, m.Instance())
	}
	if want := so.now + so.s.state.Terms.held(0); m.Lease() != want || m.Valid(want) || !m.Valid(want-1) {
		t.Fatalf("lease to %d, want %d", m.Lease(), want)
	}
	ask := func(c Command, want error) {
		t.Helper()
		req, out, err := m.Ask(so.now, c)
		if err != nil {
			t.Fatal(err)
		}
		so.pass(m, out)
		so.now += simTick
		so.pass(m, so.took2(so.s.Tick(so.now)))
		if a := m.Answers(); len(a) != 1 || a[0].Req != req || !errors.Is(a[0].Err, want) {
			t.Fatalf("%s: %+v", c.Kind, a)
		}
	}
	ask(Command{Kind: Open, Space: "s", Config: []byte{1}}, nil)
	if v := m.Views(); len(v) != 1 || v[0].Space != "s" || v[0].Epoch != 1 || len(v[0].Members) != 1 || v[0].Members[0].Instance != m.Instance() {
		t.Fatalf("views %+v", v)
	}
	ask(Command{Kind: Remove, ID: 9}, ErrMember)
	ask(Command{Kind: Close, Space: "s"}, nil)
	for _, c := range []Command{{Kind: Expire}, {Kind: Open}, {Kind: 99}} {
		if _, _, err := m.Ask(so.now, c); !errors.Is(err, ErrInvalid) {
			t.Errorf("asks for %s: %v", c.Kind, err)
		}
	}
	_, out, err := m.Ask(so.now, Command{Kind: Leave})
	if err != nil {
		t.Fatal(err)
	}
	so.pass(m, out)
	so.pass(m, m.Tick(so.now+so.s.state.Terms.Lease/2))
	if p, err := m.Phase(); p != Ended || !errors.Is(err, ErrMember) {
		t.Fatalf("phase %d, %v", p, err)
	}
}

// took2 checks for an error.
func (so *solo) took2(out Output, err error) Output {
	so.t.Helper()
	if err != nil {
		so.t.Fatal(err)
	}
	return out
}

// TestNoQuorum: a member that hears nothing fences itself when its lease has
// ended, says since when, and answers what waits. Late answers do not help.
func TestNoQuorum(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	m := newTestMember(t, instance(5, 1))
	so.pass(m, m.Tick(so.now))
	until := m.Lease()
	req, _, err := m.Ask(so.now, Command{Kind: Open, Space: "s"})
	if err != nil {
		t.Fatal(err)
	}
	var late []Message
	for so.now = until - 1; !ForServer(append(late, Message{})[0].Payload); {
		late = m.Tick(so.now).Messages
	}
	out := so.took2(so.s.Deliver(so.now, 1, "", late[0].Payload))
	if m.Tick(until - 1); !m.Valid(until - 1) {
		t.Fatal("fenced too early")
	}
	m.Tick(until)
	if p, err := m.Phase(); p != Ended || !errors.Is(err, ErrNoQuorum) || !strings.Contains(err.Error(), "no quorum for 950 ms") {
		t.Fatalf("phase %d, %v", p, err)
	}
	if a := m.Answers(); len(a) != 1 || a[0].Req != req || !errors.Is(a[0].Err, ErrNoQuorum) {
		t.Fatalf("answers %+v", a)
	}
	for _, o := range out.Messages {
		m.Deliver(until, o.Payload)
	}
	if m.Valid(until) {
		t.Fatal("back after its lease")
	}
}

// TestRefer: a node without a server says who leads.
func TestRefer(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	m := newTestMember(t, instance(5, 2))
	ask := message{kind: msgAsk, instance: instance(6, 3)}
	if out := m.Refer(so.now, 3, "x", ask.append(nil)); len(out.Messages) != 0 {
		t.Fatalf("knows a leader before it has joined: %+v", out)
	}
	so.pass(m, m.Tick(so.now))
	for _, kind := range []messageKind{msgAsk, msgRenew} {
		q := message{kind: kind, cluster: 7, instance: instance(6, 3), seq: 4}
		out := m.Refer(so.now, 3, "x", q.append(nil))
		if len(out.Messages) != 1 || out.Messages[0].To != 3 || out.Messages[0].Addr != "x" {
			t.Fatalf("%+v", out)
		}
		a, err := decodeMessage(out.Messages[0].Payload)
		if err != nil || a.status != statusNotLeader || a.leader != 1 || a.addr != "a" || a.seq != 4 {
			t.Fatalf("%+v, %v", a, err)
		}
	}
}

// TestBusy: a second start waits for the first one's lease, says so, and is let
// in then.
func TestBusy(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	first, second := newTestMember(t, instance(5, 1)), newTestMember(t, instance(6, 1))
	so.pass(first, first.Tick(so.now))
	so.pass(second, second.Tick(so.now))
	if p, err := second.Phase(); p != Joining || !errors.Is(err, ErrBusy) {
		t.Fatalf("phase %d, %v", p, err)
	}
	for phase := Joining; phase == Joining; phase, _ = second.Phase() {
		so.tick(simTick)
		if so.pass(second, second.Tick(so.now)); so.now > 10*so.s.state.Terms.Lease {
			t.Fatal("never let in")
		}
		if second.Valid(so.now) && so.now < first.Lease() {
			t.Fatal("let in while the first holds its lease")
		}
	}
	if !second.Valid(so.now) {
		t.Fatal(second.Phase())
	}
	third, err := NewMember(MemberConfig{Instance: instance(7, 2), Cluster: 8, Retry: 100 * ms, Contacts: []Contact{{Addr: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	so.pass(third, third.Tick(so.now))
	if p, _ := third.Phase(); p != Joining {
		t.Fatal("joined another cluster than its own")
	}
	for _, bad := range []MemberConfig{{}, {Instance: 5, Retry: 100 * ms, Contacts: []Contact{{ID: 1}}}, {Instance: instance(5, 1), Retry: 1}} {
		if _, err := NewMember(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
