package cluster

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

// fullState is one of each kind of thing.
func fullState() *State {
	return &State{
		Cluster: 7, Terms: DefaultTerms(), Want: 3, Version: 9, Epoch: 4,
		Nodes: []Node{
			{ID: 1, Instance: 1<<16 | 1, Features: 5, Addr: "a:1", Raft: 1<<16 | 1, Req: 3},
			{ID: 300, Instance: 2<<16 | 300, Addr: "b", Removing: true},
		},
		Voters: []Voter{{1, 1<<16 | 1, "a:1"}},
		Spaces: []Space{{"s", []byte{1}, 4, 8, []uint16{1, 300}}, {"t", nil, 2, 3, []uint16{300}}},
		Past:   []uint64{9<<16 | 1},
	}
}

func TestStateCodec(t *testing.T) {
	s := fullState()
	got, err := DecodeState(s.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, got) {
		t.Fatalf("%+v became %+v", s, got)
	}
	if c := s.Clone(); !reflect.DeepEqual(s, c) {
		t.Fatalf("the copy is %+v", c)
	}
	b := s.Append(nil)
	for i := range b {
		if _, err := DecodeState(b[:i]); err == nil {
			t.Fatalf("accepted when cut at %d", i)
		}
	}
}

// TestLargestState: a state at all its limits, with its history, is one message.
func TestLargestState(t *testing.T) {
	s := &State{Cluster: 7, Terms: DefaultTerms(), Version: 1 << 60, Epoch: maxEpoch}
	for i := range MaxNodes {
		id := uint16(60000 + i)
		s.Nodes = append(s.Nodes, Node{ID: id, Instance: 1<<63 | uint64(id), Addr: strings.Repeat("a", MaxAddr), Req: 1 << 62})
		s.Past = append(s.Past, 1<<62|uint64(id))
	}
	var all []uint16
	for i := range s.Nodes {
		all = append(all, s.Nodes[i].ID)
	}
	for i := range MaxSpaces {
		name := strings.Repeat("s", maxName-2) + string([]byte{byte(i >> 8), byte(i)})
		s.Spaces = append(s.Spaces, Space{name, bytes.Repeat([]byte{1}, maxConfig), maxEpoch, 1 << 60, all})
	}
	n := len(s.Append(nil)) + maxEventBytes + 3*maxEvents + MaxVoters*(MaxAddr+9)
	t.Logf("%d bytes", n)
	if n > MaxPayload-1024 {
		t.Fatalf("%d bytes, a message has at most %d", n, MaxPayload)
	}
}

func commands() []*Command {
	return []*Command{
		{Kind: Join, Instance: 5<<16 | 2, Features: 1, Raft: 6<<16 | 2, Addr: "x:1"},
		{Kind: Join, Instance: 5 << 16},
		{Kind: Leave, Instance: 5<<16 | 2, From: 5<<16 | 2, Req: 1, KeepVote: true},
		{Kind: Remove, ID: 3, From: 5<<16 | 2, Req: 2},
		{Kind: Promote, ID: 3, From: 5<<16 | 2, Req: 3},
		{Kind: Open, Instance: 5<<16 | 2, From: 5<<16 | 2, Req: 4, Space: "s", Config: []byte("c")},
		{Kind: Close, Instance: 5<<16 | 2, From: 5<<16 | 2, Req: 5, Space: "s"},
		{Kind: NewView, Instance: 5<<16 | 2, From: 5<<16 | 2, Req: 6, Space: "s"},
		{Kind: Expire, Instance: 5<<16 | 2},
		{Kind: Fenced, Instance: 5<<16 | 2},
	}
}

func TestCommandCodec(t *testing.T) {
	for _, c := range commands() {
		b := c.Append(nil)
		got, err := DecodeCommand(b)
		if err != nil || !reflect.DeepEqual(c, got) {
			t.Errorf("%+v became %+v, %v", c, got, err)
		}
		if _, err := DecodeCommand(append(b, 0)); err == nil {
			t.Errorf("%s: accepted with a byte too many", c.Kind)
		}
	}
	for name, b := range map[string][]byte{
		"other version": {2, 1}, "no kind": {1, 0}, "kind of a newer version": append([]byte{1, 99}, make([]byte, 9)...),
		"no space": (&Command{Kind: Open, Instance: 1}).Append(nil), "no instance": (&Command{Kind: Join}).Append(nil),
		"store of another node": (&Command{Kind: Join, Instance: 1<<16 | 1, Raft: 1<<16 | 2}).Append(nil),
	} {
		if _, err := DecodeCommand(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func messages() []*message {
	return []*message{
		{kind: msgRaft, cluster: 7, body: []byte("raft")},
		{kind: msgRenew, cluster: 7, instance: 8, seq: 9, version: 10},
		{kind: msgRenewed, cluster: 7, instance: 8, seq: 9, status: statusBehind, leader: 2, addr: "l", body: []byte("s"), version: 3, events: [][]byte{{1}, {2}}},
		{kind: msgAsk, instance: 8, seq: 1, body: []byte("c")},
		{kind: msgAnswer, cluster: 7, instance: 8, seq: 1, status: statusBusy, id: 4},
		{kind: msgEvents, cluster: 7, instance: 8, version: 5, events: [][]byte{{1}}},
	}
}

func TestMessageCodec(t *testing.T) {
	for _, m := range messages() {
		got, err := decodeMessage(m.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if len(got.body) == 0 {
			got.body = nil
		}
		if !reflect.DeepEqual(m, got) {
			t.Errorf("%+v became %+v", m, got)
		}
	}
}

// FuzzDecode: whatever comes in is refused or understood, and what is understood
// is written the same way when it is written again.
func FuzzDecode(f *testing.F) {
	for _, c := range commands() {
		f.Add(c.Append(nil))
	}
	for _, m := range messages() {
		f.Add(m.append(nil))
	}
	f.Add(fullState().Append(nil))
	f.Add(appendSnapshot(nil, fullState(), &history{events: [][]byte{{1}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		stable := func(what string, first []byte, again func([]byte) ([]byte, error)) {
			second, err := again(first)
			if err != nil || !bytes.Equal(first, second) {
				t.Errorf("%s: %x became %x, %v", what, first, second, err)
			}
		}
		if c, err := DecodeCommand(b); err == nil {
			stable("command", c.Append(nil), func(b []byte) ([]byte, error) {
				c, err := DecodeCommand(b)
				return c.Append(nil), err
			})
			fullState().apply(c, 0)
		}
		if m, err := decodeMessage(b); err == nil {
			stable("message", m.append(nil), func(b []byte) ([]byte, error) {
				m, err := decodeMessage(b)
				return m.append(nil), err
			})
		}
		if s, h, err := decodeSnapshot(b); err == nil {
			stable("snapshot", appendSnapshot(nil, s, h), func(b []byte) ([]byte, error) {
				s, h, err := decodeSnapshot(b)
				return appendSnapshot(nil, s, h), err
			})
		}
	})
}
