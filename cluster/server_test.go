package cluster

import (
	"errors"
	"strings"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// solo is a cluster of one voter, with members that the test plays.
type solo struct {
	t   *testing.T
	s   *Server
	now int64
	out Output
}

func newSolo(t *testing.T, cfg ServerConfig) *solo {
	t.Helper()
	return newFirst(t, cfg, 1)
}

// newFirst is the first voter of a cluster that wants more.
func newFirst(t *testing.T, cfg ServerConfig, want int) *solo {
	t.Helper()
	cfg.Store, cfg.Tick, cfg.Elections = instance(9, 1), simTick, 5
	st := NewMemory()
	if err := Found(st, Birth{Cluster: 7, Terms: quickTerms(), Want: want, Store: cfg.Store, Addr: "a"}); err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(cfg, st)
	if err != nil {
		t.Fatal(err)
	}
	so := &solo{t: t, s: s}
	so.tick(simTick)
	if id, self := s.Leader(); id != 1 || !self {
		t.Fatalf("leader %d, %v", id, self)
	}
	return so
}

func (so *solo) took(out Output, err error) []*message {
	so.t.Helper()
	if err != nil {
		so.t.Fatal(err)
	}
	so.out = out
	var list []*message
	for _, m := range out.Messages {
		d, err := decodeMessage(m.Payload)
		if err != nil {
			so.t.Fatal(err)
		}
		list = append(list, d)
	}
	return list
}

// tick lets time pass.
func (so *solo) tick(d int64) (list []*message) {
	so.t.Helper()
	var fence, bar []uint64
	for end := so.now + d; so.now < end; {
		so.now += simTick
		list = append(list, so.took(so.s.Tick(so.now))...)
		fence, bar = append(fence, so.out.Fence...), append(bar, so.out.Bar...)
	}
	so.out.Fence, so.out.Bar = fence, bar
	return list
}

func (so *solo) deliver(from uint16, m *message) []*message {
	so.t.Helper()
	return so.took(so.s.Deliver(so.now, from, "", m.append(nil)))
}

func (so *solo) join(id uint64) uint64 {
	so.t.Helper()
	in := instance(1, id)
	c := Command{Kind: Join, Instance: in}
	a := so.deliver(uint16(id), &message{kind: msgAsk, instance: in, body: c.Append(nil)})
	if len(a) != 1 || a[0].status != StatusOK || a[0].id != uint16(id) {
		so.t.Fatalf("answer to join: %+v", a)
	}
	return in
}

// renew renews and gives the answer, nil: none.
func (so *solo) renew(in, version uint64) *message {
	so.t.Helper()
	for _, m := range so.deliver(NodeOf(in), &message{kind: msgRenew, cluster: 7, instance: in, seq: 1, version: version}) {
		if m.kind == msgRenewed {
			return m
		}
	}
	return nil
}

// TestExpire: a member that is silent is out when its lease has ended, not
// before; one that renews stays.
func TestExpire(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	one, two := so.join(1), so.join(2)
	over := so.s.state.Terms.over(0)
	for d := int64(0); d < over-simTick; d += simTick {
		so.tick(simTick)
		if a := so.renew(one, 2); a == nil || a.status != StatusOK {
			t.Fatalf("answer %+v", a)
		}
	}
	if so.s.state.Member(two) == nil {
		t.Fatal("out too early")
	}
	so.tick(2 * simTick)
	if so.s.state.Member(two) != nil || so.s.state.Member(one) == nil {
		t.Fatalf("members %+v", so.s.state.Nodes)
	}
	if a := so.renew(two, 2); a == nil || a.status != statusMember {
		t.Fatalf("answer %+v to who is out", a)
	}
}

// TestPausedLeader: a leader that was stopped has not read what came meanwhile, and
// waits as if it had not been stopped, but for a few ticks.
func TestPausedLeader(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	one := so.join(1)
	so.now += 10 * so.s.state.Terms.Lease
	so.tick(so.s.state.Terms.Lease - 4*simTick)
	if so.s.state.Member(one) == nil {
		t.Fatal("out at once after the pause")
	}
	so.tick(so.s.state.Terms.Lease)
	if so.s.state.Member(one) != nil {
		t.Fatal("it never goes")
	}
}

// TestPausedLeaderHears: the same, whatever a leader hears first when it goes on: the time,
// or that another member is fenced or barred.
func TestPausedLeaderHears(t *testing.T) {
	for first, hear := range map[string]func(so *solo, dead uint64) (Output, error){
		"the time": func(so *solo, _ uint64) (Output, error) { return so.s.Tick(so.now) },
		"a fence":  func(so *solo, dead uint64) (Output, error) { return so.s.FenceDone(so.now, dead) },
		"a bar":    func(so *solo, dead uint64) (Output, error) { return so.s.BarDone(so.now, dead) },
	} {
		t.Run(first, func(t *testing.T) {
			so := newSolo(t, ServerConfig{FenceLate: 10 * simTick, Bars: first == "a bar"})
			dead, alive := so.join(1), so.join(2)
			for waits := false; !waits; waits = so.s.led.doomed[dead] != nil && (first != "a bar" || so.s.Bars(dead)) {
				so.tick(simTick)
				if so.renew(alive, 2) == nil || so.now > 3*so.s.state.Terms.Lease {
					t.Fatal("before the pause")
				}
			}
			so.now += 2 * so.s.state.Terms.Lease
			so.took(hear(so, dead))
			so.tick(simTick)
			if a := so.renew(alive, so.s.state.Version); a == nil || a.status != StatusOK { // it lay unread
				t.Fatalf("answer %+v to one who lives", a)
			}
			so.tick(5 * simTick)
			if so.s.state.Member(alive) == nil || so.s.led.doomed[alive] != nil {
				t.Error("one who lives is put out")
			}
		})
	}
}

// TestBusyLeader: a leader that always comes late waits somewhat longer for who is dead,
// and not for ever.
func TestBusyLeader(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	for i, tc := range []struct{ ticks, leases int64 }{{5, 2}, {10, 4}} {
		one := so.join(uint64(i + 1))
		from := so.now
		for so.s.state.Member(one) != nil {
			if so.now-from > tc.leases*so.s.state.Terms.Lease {
				t.Fatalf("ticks that are %d apart: a member for %d ms", tc.ticks, (so.now-from)/ms)
			}
			so.now += (tc.ticks - 1) * simTick
			so.tick(simTick)
		}
		if so.now-from < so.s.state.Terms.Over() {
			t.Errorf("out after %d ms", (so.now-from)/ms)
		}
	}
}

// TestFence: a member that is to be fenced gets no renewal any more, and is out
// when the agent says so. Without the rule it gets one, and goes on.
func TestFence(t *testing.T) {
	for _, off := range []Rules{0, RuleCondemned} {
		so := newSolo(t, ServerConfig{FenceLate: 200 * ms, Without: off})
		one := so.join(1)
		so.tick(600 * ms)
		if len(so.out.Fence) != 1 || so.out.Fence[0] != one {
			t.Fatalf("ordered %x", so.out.Fence)
		}
		if got := so.renew(one, 2) != nil; got != (off != 0) {
			t.Fatalf("rules off %b: renewed: %v", off, got)
		}
		if so.took(so.s.FenceDone(so.now, one)); so.s.state.Member(one) != nil {
			t.Fatal("still a member")
		}
	}
}

// TestBar: a member whose lease has ended stays until it has been kept from the disks;
// so does one that a fence agent has ended. One that answers in time is let alone.
func TestBar(t *testing.T) {
	for name, late := range map[string]int64{"lease": 0, "fenced": 200 * ms} {
		t.Run(name, func(t *testing.T) {
			so := newSolo(t, ServerConfig{FenceLate: late, Bars: true})
			one := so.join(1)
			lease := so.s.state.Terms.Lease
			if late == 0 {
				so.tick(lease / 2)
				if len(so.out.Bar) > 0 || so.renew(one, 2) == nil {
					t.Fatalf("a member in time: bars %x", so.out.Bar)
				}
				so.tick(2 * lease)
			} else {
				so.tick(3 * late)
				if len(so.out.Bar) > 0 {
					t.Fatal("barred before it is fenced")
				}
				so.took(so.s.FenceDone(so.now, one))
			}
			if len(so.out.Bar) != 1 || so.out.Bar[0] != one || !so.s.Bars(one) {
				t.Fatalf("ordered %x", so.out.Bar)
			}
			so.tick(3 * lease)
			if so.s.state.Member(one) == nil || so.renew(one, 3) != nil {
				t.Fatal("out, or renewed, before it was barred")
			}
			if so.took(so.s.BarDone(so.now, one)); so.s.state.Member(one) != nil || so.s.Bars(one) {
				t.Fatal("still a member")
			}
		})
	}
}

// TestRemove: who is to go by an operator's will is not renewed, and is out when
// its lease has ended.
func TestRemove(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	one, two := so.join(1), so.join(2)
	c := Command{Kind: Remove, ID: 2, From: one, Req: 1}
	if a := so.deliver(1, &message{kind: msgAsk, cluster: 7, instance: one, seq: 1, body: c.Append(nil)}); len(a) == 0 || a[0].status != StatusOK {
		t.Fatalf("%+v", a)
	}
	for so.s.state.Member(two) != nil {
		if a := so.renew(two, 2); a == nil || a.status != statusMember {
			t.Fatalf("answer %+v", a)
		}
		if so.tick(simTick); so.now > 10*so.s.state.Terms.Lease {
			t.Fatal("it stays, because it asks")
		}
	}
}

// TestBehind: a member that lacks more than is remembered is told so; one that
// lacks less gets it; a new one gets the state.
func TestBehind(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	one := so.join(1)
	for i := range maxEvents + 10 {
		c := Command{Kind: Open, Instance: one, From: one, Req: uint64(i + 1), Space: "s"}
		if i%2 == 1 {
			c.Kind = Close
		}
		so.deliver(1, &message{kind: msgAsk, cluster: 7, instance: one, seq: c.Req, body: c.Append(nil)})
	}
	if a := so.renew(one, 0); a == nil || len(a.body) == 0 || a.version != so.s.state.Version {
		t.Fatalf("a new member: %+v", a)
	}
	if a := so.renew(one, so.s.state.Version-3); a == nil || len(a.events) != 3 {
		t.Fatalf("three behind: %+v", a)
	}
	if a := so.renew(one, 2); a == nil || a.status != statusBehind {
		t.Fatalf("far behind: %+v", a)
	}
	// What was compacted and stored is enough for a new start.
	again, err := NewServer(ServerConfig{Store: instance(9, 1), Tick: simTick, Elections: 5}, so.s.store)
	if err != nil {
		t.Fatal(err)
	}
	so.s = again
	so.tick(simTick)
	if again.state.Version != uint64(maxEvents+12) || again.snapped == 1 {
		t.Fatalf("version %d, snapshot %d", again.state.Version, again.snapped)
	}
}

// TestStrangers: what does not belong here is dropped or refused.
func TestStrangers(t *testing.T) {
	so := newSolo(t, ServerConfig{})
	one := so.join(1)
	open := Command{Kind: Open, Instance: one, From: one, Req: 1, Space: "s"}
	expire := Command{Kind: Expire, Instance: one}
	for name, c := range map[string]struct {
		from   uint16
		m      message
		status Status // 0: no answer
	}{
		"another cluster":           {1, message{kind: msgRenew, cluster: 8, instance: one}, 0},
		"renewal of another node":   {2, message{kind: msgRenew, cluster: 7, instance: one}, 0},
		"an answer":                 {1, message{kind: msgAnswer, cluster: 7, instance: one}, 0},
		"no Raft message":           {1, message{kind: msgRaft, cluster: 7, body: []byte("x")}, 0},
		"command of no cluster":     {1, message{kind: msgAsk, instance: one, seq: 1, body: open.Append(nil)}, statusOther},
		"command of another node":   {2, message{kind: msgAsk, cluster: 7, instance: one, seq: 1, body: open.Append(nil)}, statusInvalid},
		"command of another number": {1, message{kind: msgAsk, cluster: 7, instance: one, seq: 2, body: open.Append(nil)}, statusInvalid},
		"the leader's command":      {1, message{kind: msgAsk, cluster: 7, instance: one, body: expire.Append(nil)}, statusInvalid},
		"no command":                {1, message{kind: msgAsk, cluster: 7, instance: one, body: []byte{1, 99}}, statusInvalid},
	} {
		a := so.deliver(c.from, &c.m)
		if len(a) > 0 != (c.status != 0) || len(a) > 0 && a[0].status != c.status {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if out := so.took(so.s.Deliver(so.now, 1, "", []byte("garbage"))); len(out) != 0 {
		t.Errorf("garbage is answered: %+v", out)
	}
}

// TestRaftGivesUp: what Raft cannot take is an error of this voter, for good,
// not a panic.
func TestRaftGivesUp(t *testing.T) {
	st := NewMemory()
	if err := Found(st, Birth{Cluster: 7, Terms: quickTerms(), Want: 3, Store: instance(9, 1)}); err != nil {
		t.Fatal(err)
	}
	var said []string
	s, err := NewServer(ServerConfig{
		Store: instance(9, 1), Tick: simTick, Elections: 5,
		Logf: func(format string, _ ...any) { said = append(said, format) },
	}, st)
	if err != nil {
		t.Fatal(err)
	}
	hb := &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(instance(9, 2)), To: new(instance(9, 1)), Term: new(uint64(5)), Commit: new(uint64(99))}
	body, err := proto.Marshal(hb)
	if err != nil {
		t.Fatal(err)
	}
	m := message{kind: msgRaft, cluster: 7, body: body}
	_, err = s.Deliver(1, 2, "", m.append(nil))
	if err == nil || !strings.Contains(err.Error(), "gives up") || len(said) == 0 {
		t.Fatalf("%v, said %q", err, said)
	}
	if _, again := s.Tick(2); again == nil || again.Error() != err.Error() {
		t.Fatalf("then %v", again)
	}
}

// TestNewerVersion: who cannot read what was decided gives up, as a voter and as
// a member.
func TestNewerVersion(t *testing.T) {
	newer := append([]byte{formatVersion, 99}, make([]byte, 9)...)
	so := newSolo(t, ServerConfig{})
	m := newTestMember(t, instance(5, 2))
	so.pass(m, m.Tick(so.now))
	e := message{kind: msgEvents, cluster: 7, instance: m.Instance(), version: m.state.Version, events: [][]byte{newer, newer}}
	m.Deliver(so.now, e.append(nil))
	if p, err := m.Phase(); p != Ended || err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Fatalf("phase %d, %v", p, err)
	}
	if err := so.s.rn.Propose(newer); err != nil {
		t.Fatal(err)
	}
	if _, err := so.s.Tick(so.now + simTick); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Fatal(err)
	}
}

var errDisk = errors.New("disk full")

type fullDisk struct{ *Memory }

func (fullDisk) Save(*pb.HardState, []*pb.Entry, *pb.Snapshot) error { return errDisk }

// TestFullDisk: a voter that cannot store does not vote, and says why.
func TestFullDisk(t *testing.T) {
	st := NewMemory()
	if err := Found(st, Birth{Cluster: 7, Terms: quickTerms(), Want: 3, Store: instance(9, 1)}); err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(ServerConfig{Store: instance(9, 1), Tick: simTick, Elections: 5}, fullDisk{st})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Tick(simTick); !errors.Is(err, errDisk) || len(out.Messages) > 0 {
		t.Fatalf("%+v, %v", out, err)
	}
}

// TestConfigs: what cannot be is refused.
func TestConfigs(t *testing.T) {
	good := ServerConfig{Store: instance(9, 1), Tick: simTick, Elections: 5}
	for i, change := range []func(c *ServerConfig){
		func(c *ServerConfig) { c.Store = 1 }, func(c *ServerConfig) { c.Store = 1 << 16 },
		func(c *ServerConfig) { c.Tick = 0 }, func(c *ServerConfig) { c.Elections = 2 },
	} {
		c := good
		change(&c)
		if _, err := NewServer(c, NewMemory()); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d: %v", i, err)
		}
	}
	st := NewMemory()
	b := Birth{Cluster: 7, Terms: quickTerms(), Want: 1, Store: instance(9, 1)}
	for i, change := range []func(b *Birth){
		func(b *Birth) { b.Cluster = 0 }, func(b *Birth) { b.Want = 8 }, func(b *Birth) { b.Store = 5 }, func(b *Birth) { b.Terms.Lease = 1 },
	} {
		c := b
		change(&c)
		if err := Found(st, c); !errors.Is(err, ErrInvalid) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := errors.Join(Found(st, b)); err != nil {
		t.Fatal(err)
	}
	if err := Found(st, b); !errors.Is(err, ErrInvalid) {
		t.Errorf("founded twice: %v", err)
	}
	for s := range statusCount + 1 {
		if (s.Err() == nil) != (s == StatusOK) {
			t.Errorf("status %d: %v", s, s.Err())
		}
	}
}
