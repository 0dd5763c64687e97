package cluster

import (
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// two are the first voter of a cluster and a second one, which hears of it what the test wants.
type two struct {
	*solo
	b    *Server
	deaf bool // b does not hear heartbeats, with which a leader asks whether it leads
}

// step lets a tick pass, renews the membership of in, and gives what the first voter says to it.
func (w *two) step(in uint64) (said []*message) {
	w.t.Helper()
	w.now += simTick
	work := w.took(w.s.Tick(w.now))
	work = append(work, w.deliver(NodeOf(in), &message{kind: msgRenew, cluster: 7, instance: in, seq: 1, version: 1})...)
	if _, err := w.b.Tick(w.now); err != nil {
		w.t.Fatal(err)
	}
	for len(work) > 0 {
		m := work[0]
		work = work[1:]
		if m.kind != msgRaft {
			said = append(said, m)
			continue
		}
		rm := &pb.Message{}
		if err := proto.Unmarshal(m.body, rm); err != nil {
			w.t.Fatal(err)
		}
		if w.deaf && rm.GetType() == pb.MsgHeartbeat {
			continue
		}
		out, err := w.b.Deliver(w.now, 1, "", m.append(nil))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, a := range out.Messages {
			answers, err := w.s.Deliver(w.now, 2, "", a.Payload)
			work = append(work, w.took(answers, err)...)
		}
	}
	return said
}

// until steps until it is so.
func (w *two) until(in uint64, so func(said []*message) bool) {
	w.t.Helper()
	for range 100 {
		if so(w.step(in)) {
			return
		}
	}
	w.t.Fatalf("not in 100 ticks; voters %x, members %+v", w.s.Voters(), w.s.state.Nodes)
}

// A voter is removed while the leader asks it whether it leads: the question is put to
// those who are left, or no lease would ever be renewed again.
func TestVoterGoesUnasked(t *testing.T) {
	w := &two{solo: newFirst(t, ServerConfig{}, 2)}
	var err error
	if w.b, err = NewServer(ServerConfig{Store: instance(9, 2), Tick: simTick, Elections: 5}, NewMemory()); err != nil {
		t.Fatal(err)
	}
	one, second := w.join(1), instance(1, 2)
	c := Command{Kind: Join, Instance: second, Raft: instance(9, 2)}
	w.deliver(2, &message{kind: msgAsk, instance: second, body: c.Append(nil)})
	w.until(one, func([]*message) bool { return len(w.s.Voters()) == 2 })
	c = Command{Kind: Remove, ID: 2, From: one, Req: 1}
	w.deliver(1, &message{kind: msgAsk, cluster: 7, instance: one, seq: 1, body: c.Append(nil)})
	w.until(one, func([]*message) bool { return w.s.state.Voter(2) == nil })
	w.deaf = true
	w.until(one, func([]*message) bool { return len(w.s.Voters()) == 1 })
	w.until(one, func(said []*message) bool {
		return slices.ContainsFunc(said, func(m *message) bool { return m.kind == msgRenewed && m.status == StatusOK })
	})
}
