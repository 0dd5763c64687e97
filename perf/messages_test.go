package perf

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

func TestMessages(t *testing.T) {
	var before, after, other Messages
	before.Out[wire.Lookup], before.In[wire.You] = 3, 2
	after = before
	after.Out[wire.Lookup] += 2
	after.Out[wire.Notify] = 4
	after.Out[wire.LinkAck] = 9
	after.Out[wire.Ast] = 7
	after.Critical = 5
	other.Out[wire.You], other.In[wire.Lookup], other.In[wire.LinkAck] = 3, 2, 9

	m := after.Sub(before)
	m.Merge(other)
	if m.Out[wire.Lookup] != 2 || m.Out[wire.You] != 3 || m.In[wire.You] != 0 || m.NodeIn() != 2 {
		t.Errorf("counts %v %v", m.Out[:12], m.In[:12])
	}
	// Links and clients do not count as lock messages between nodes.
	if m.NodeOut() != 9 || m.Critical != 5 || m.Background() != 4 {
		t.Errorf("node %d, critical %d, background %d; want 9, 5, 4", m.NodeOut(), m.Critical, m.Background())
	}
	m.Critical = 100
	if m.Background() != 0 {
		t.Errorf("background %d of counts that do not cover the cluster", m.Background())
	}
}

func TestMessagesJSON(t *testing.T) {
	var m Messages
	m.Out[wire.Notify], m.In[wire.Confirm], m.Critical = 400, 400, 1
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"in":{"CONFIRM":400},"out":{"NOTIFY":400},"critical":1,"background":399}`
	if string(data) != want {
		t.Errorf("got %s, want %s", data, want)
	}
	var got Messages
	if err := json.Unmarshal(data, &got); err != nil || got != m {
		t.Errorf("%v, critical %d", err, got.Critical)
	}
	keep := got
	for _, bad := range []string{`{"in":{"SMOKE_SIGNAL":1}}`, `{"out":{"SMOKE_SIGNAL":1}}`, `{"in":{"CONFIRM":-1}}`, `[]`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil || !strings.Contains(err.Error(), "message counts") || got != keep {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for n := range 256 { // every type survives, known or not
		var m, got Messages
		m.In[n] = uint64(n) + 1
		data, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &got); err != nil || got != m {
			t.Errorf("type %d: %s, %v", n, data, err)
		}
	}
}
