package perf

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

func TestCounters(t *testing.T) {
	var a, b Counters
	a.Out(wire.Lookup, 3)
	a.In(wire.You, 2)
	before := a.Snapshot()
	a.Out(wire.Lookup, 2)
	a.Out(wire.Notify, 4)
	a.Out(wire.LinkAck, 9)
	a.Out(wire.Ast, 7)
	a.Critical(5)
	b.Out(wire.You, 3)
	b.In(wire.Lookup, 2)

	m := a.Snapshot().Sub(before)
	m.Merge(b.Snapshot())
	if m.Out[wire.Lookup] != 2 || m.Out[wire.You] != 3 || m.In[wire.You] != 0 || m.In[wire.Lookup] != 2 {
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

func TestCountersFromManyGoroutines(t *testing.T) {
	var c Counters
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				c.Out(wire.Grant, 1)
				c.Critical(2)
				c.Snapshot()
			}
		})
	}
	wg.Wait()
	if m := c.Snapshot(); m.Out[wire.Grant] != 8000 || m.Critical != 16000 {
		t.Errorf("%d, %d", m.Out[wire.Grant], m.Critical)
	}
}
