package cluster

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace"
)

// do applies a command and says what came of it.
func do(s *State, c Command) string {
	st, id, changed := s.apply(&c, 0)
	return fmt.Sprint(st.Err(), " ", id, " ", changed)
}

// instance makes instance n of a node.
func instance(n, id uint64) uint64 { return n<<16 | id }

// TestCommands goes through the commands one after the other on one state.
func TestCommands(t *testing.T) {
	s := &State{Cluster: 1, Terms: DefaultTerms(), Want: 2, Version: 1, Voters: []Voter{{1, instance(9, 1), "a"}}}
	one, two, three := instance(1, 1), instance(1, 2), instance(1, 3)
	for i, c := range []struct {
		c    Command
		want string
	}{
		{Command{Kind: Join, Instance: one, Raft: instance(9, 1)}, "<nil> 1 true"},
		{Command{Kind: Join, Instance: one, Raft: instance(9, 1)}, "<nil> 1 false"}, // again
		{Command{Kind: Join, Instance: instance(2, 1)}, "cluster: id is in use 1 false"},
		{Command{Kind: Join, Instance: instance(7, 0), Raft: instance(8, 0)}, "<nil> 2 true"}, // gets id 2 and a vote
		{Command{Kind: Join, Instance: instance(7, 0), Raft: instance(8, 0)}, "<nil> 2 false"},
		{Command{Kind: Join, Instance: three, Raft: instance(6, 3)}, "<nil> 3 true"}, // there are voters enough
		{Command{Kind: Promote, ID: 3, From: one, Req: 1}, "<nil> 0 true"},
		{Command{Kind: Promote, ID: 3, From: one, Req: 2}, "<nil> 0 false"},
		{Command{Kind: Promote, ID: 4, From: one, Req: 2}, "cluster: not a member 0 false"},
		{Command{Kind: Join, Instance: instance(1, 4)}, "<nil> 4 true"},
		{Command{Kind: Promote, ID: 4, From: one, Req: 3}, "cluster: cannot vote 0 false"},
		{Command{Kind: Open, Instance: two, Space: "s"}, "cluster: not a member 0 false"}, // 2 is instance 7
		{Command{Kind: Open, Instance: one, From: one, Req: 4, Space: "s", Config: []byte{1}}, "<nil> 0 true"},
		{Command{Kind: Close, Instance: one, From: one, Req: 4, Space: "s"}, "<nil> 0 false"}, // its number came before
		{Command{Kind: Open, Instance: three, From: three, Req: 1, Space: "s", Config: []byte{2}}, "cluster: other lockspace rule 0 false"},
		{Command{Kind: Open, Instance: three, From: three, Req: 2, Space: "s", Config: []byte{1}}, "<nil> 0 true"},
		{Command{Kind: Open, Instance: three, From: three, Req: 3, Space: "s", Config: []byte{1}}, "<nil> 0 false"},
		{Command{Kind: Open, Instance: three, From: three, Req: 4, Space: "a"}, "<nil> 0 true"},
		{Command{Kind: Close, Instance: one, From: one, Req: 5, Space: "a"}, "<nil> 0 false"},
		{Command{Kind: Remove, ID: 3, From: one, Req: 6}, "<nil> 0 true"},
		{Command{Kind: Remove, ID: 3, From: one, Req: 7}, "<nil> 0 false"},
		{Command{Kind: Remove, ID: 9, From: one, Req: 7}, "cluster: not a member 0 false"},
		{Command{Kind: Open, Instance: three, From: three, Req: 5, Space: "b"}, "cluster: not a member 0 false"},
		{Command{Kind: Expire, Instance: instance(5, 3)}, "<nil> 0 false"}, // another start
		{Command{Kind: Expire, Instance: three}, "<nil> 0 true"},
		{Command{Kind: Join, Instance: three}, "cluster: not a member 3 false"}, // it has gone
		{Command{Kind: Leave, Instance: instance(7, 2), From: instance(7, 2), Req: 1, KeepVote: true}, "<nil> 0 true"},
		{Command{Kind: Leave, Instance: instance(7, 2)}, "<nil> 0 false"},
		{Command{Kind: Remove, ID: 2, From: one, Req: 8}, "<nil> 0 true"}, // its vote
		{Command{Kind: Remove, ID: 1, From: one, Req: 9}, "cluster: last voter 0 false"},
		{Command{Kind: NewView, Instance: one, From: one, Req: 9, Space: "s"}, "<nil> 0 true"},
		{Command{Kind: NewView, Instance: one, From: one, Req: 10, Space: "none"}, "cluster: not a member 0 false"},
		{Command{Kind: Close, Instance: one, From: one, Req: 10, Space: "s"}, "<nil> 0 true"},
		{Command{Kind: Close, Instance: one, From: three, Req: 9, Space: "s"}, "cluster: not a member 0 false"},
	} {
		if got := do(s, c.c); got != c.want {
			t.Fatalf("command %d, %s: %s, want %s", i, c.c.Kind, got, c.want)
		}
		if _, err := DecodeState(s.Append(nil)); err != nil {
			t.Fatalf("command %d, %s: %v", i, c.c.Kind, err)
		}
	}
	if len(s.Spaces) != 0 || s.Epoch != 5 || len(s.Voters) != 1 || len(s.Nodes) != 2 {
		t.Fatalf("at the end %+v", s)
	}
}

// TestLostStore: a voter whose store is lost gives its vote to its new store.
func TestLostStore(t *testing.T) {
	s := &State{Cluster: 1, Want: 3, Voters: []Voter{{1, instance(9, 1), "a"}, {2, instance(9, 2), "b"}}}
	do(s, Command{Kind: Join, Instance: instance(1, 2), Raft: instance(10, 2), Addr: "c"})
	if v := s.Voter(2); v == nil || v.Raft != instance(10, 2) || v.Addr != "c" {
		t.Fatalf("voters %+v", s.Voters)
	}
	do(s, Command{Kind: Expire, Instance: instance(1, 2)})
	do(s, Command{Kind: Join, Instance: instance(2, 2)}) // without a store
	if s.Voter(2) != nil {
		t.Fatalf("voters %+v", s.Voters)
	}
}

// TestViews: a lockspace has a view of those who have it open, with the epoch of
// the last change of its own.
func TestViews(t *testing.T) {
	s := fullState()
	s.Nodes[1].Features = 4
	v, err := s.View("s")
	if err != nil || v.Epoch != 4 || len(v.Members) != 2 || v.Members[1] != (lockspace.Member{ID: 300, Instance: instance(2, 300)}) {
		t.Fatalf("%+v, %v", v, err)
	}
	if _, err := s.View("none"); err == nil {
		t.Fatal("a view of a lockspace that is not open")
	}
	if s.Features() != 4 {
		t.Fatalf("features %x", s.Features())
	}
	do(s, Command{Kind: Fenced, Instance: instance(2, 300)})
	if s.Space("t") != nil || s.Space("s").Epoch != 5 || len(s.Space("s").Joined) != 1 {
		t.Fatalf("%+v", s.Spaces)
	}
}

// TestLeaseArithmetic: whatever the clocks do within the bound, the member's
// lease has ended in real time before the leader's wait has.
func TestLeaseArithmetic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		terms := Terms{minLease + rng.Int64N(maxLease-minLease), uint32(rng.IntN(maxDriftPPM + 1)), rng.Int64N(minLease)}
		if err := terms.check(); err != nil {
			t.Fatal(err)
		}
		r := float64(terms.DriftPPM) / 1e6
		member := float64(terms.held(0)) / (1 - r) // its clock is as slow as it may be
		leader := float64(terms.over(0)) / (1 + r) // as fast
		if member > float64(terms.Lease)*(1+1e-12) || leader < float64(terms.Lease)*(1-1e-12) {
			t.Fatalf("%+v: member %f, leader %f", terms, member, leader)
		}
		if terms.DriftPPM > 1000 && float64(terms.held(RuleDrift))/(1-r) <= float64(terms.over(RuleDrift)-terms.Margin)/(1+r) {
			t.Fatalf("%+v: ignoring drift does no harm", terms)
		}
	}
	for _, bad := range []Terms{{}, {Lease: maxLease + 1}, {Lease: minLease, DriftPPM: maxDriftPPM + 1}, {Lease: minLease, Margin: -1}} {
		if bad.check() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
