package perf

import (
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/wire"
)

// Counters counts messages by type as they are sent and received, and those
// that an operation had to wait for. The zero value is ready; any number of
// goroutines may use it.
type Counters struct {
	in, out  [256]atomic.Uint64
	critical atomic.Uint64
}

// In counts n received messages of a type.
func (c *Counters) In(t wire.Type, n uint64) { c.in[t].Add(n) }

// Out counts n sent messages of a type.
func (c *Counters) Out(t wire.Type, n uint64) { c.out[t].Add(n) }

// Critical counts n one-way messages between nodes that a completed operation
// has waited for (the Hops of its completion), whoever sent them.
func (c *Counters) Critical(n uint64) { c.critical.Add(n) }

// Snapshot gives the counts of this moment. Messages counted meanwhile may be
// in it or not.
func (c *Counters) Snapshot() Messages {
	var m Messages
	for t := range c.in {
		m.In[t], m.Out[t] = c.in[t].Load(), c.out[t].Load()
	}
	m.Critical = c.critical.Load()
	return m
}

// Messages are counts taken at one moment, or over a time.
type Messages struct {
	In, Out  [256]uint64 // by wire.Type
	Critical uint64      // one-way messages between nodes that operations waited for
}

// Sub gives what was counted between an earlier snapshot and this one.
func (m Messages) Sub(earlier Messages) Messages {
	for t := range m.In {
		m.In[t] -= earlier.In[t]
		m.Out[t] -= earlier.Out[t]
	}
	m.Critical -= earlier.Critical
	return m
}

// Merge adds the counts of another node.
func (m *Messages) Merge(other Messages) {
	for t := range m.In {
		m.In[t] += other.In[t]
		m.Out[t] += other.Out[t]
	}
	m.Critical += other.Critical
}

// NodeOut gives the number of lock messages sent to other nodes, without
// those of the links themselves.
func (m *Messages) NodeOut() uint64 {
	var n uint64
	for t, v := range m.Out {
		if wire.Type(t).Kind() == wire.KindNode {
			n += v
		}
	}
	return n
}

// Background gives the lock messages between nodes that no operation waited
// for. It is right only for counts that cover the whole cluster at rest,
// because a request waits for messages that other nodes send.
func (m *Messages) Background() uint64 {
	return m.NodeOut() - min(m.Critical, m.NodeOut())
}

// messagesJSON is Messages in JSON: only types that occur, by name.
type messagesJSON struct {
	In         map[string]uint64 `json:"in"`
	Out        map[string]uint64 `json:"out"`
	Critical   uint64            `json:"critical"`
	Background uint64            `json:"background"`
}

// MarshalJSON writes the types that occur under the names the documents use.
func (m Messages) MarshalJSON() ([]byte, error) {
	j := messagesJSON{
		In: map[string]uint64{}, Out: map[string]uint64{},
		Critical: m.Critical, Background: m.Background(),
	}
	for t := range m.In {
		if m.In[t] != 0 {
			j.In[wire.Type(t).String()] = m.In[t]
		}
		if m.Out[t] != 0 {
			j.Out[wire.Type(t).String()] = m.Out[t]
		}
	}
	return json.Marshal(j)
}

// typeByName is the inverse of wire.Type's String.
var typeByName = func() map[string]wire.Type {
	names := map[string]wire.Type{}
	for t := range 256 {
		names[wire.Type(t).String()] = wire.Type(t)
	}
	return names
}()

// UnmarshalJSON reads what MarshalJSON writes. The background count follows
// from the others and is not read.
func (m *Messages) UnmarshalJSON(data []byte) error {
	var j messagesJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("perf: message counts: %w", err)
	}
	got := Messages{Critical: j.Critical}
	if err := fill(&got.In, j.In); err != nil {
		return err
	}
	if err := fill(&got.Out, j.Out); err != nil {
		return err
	}
	*m = got
	return nil
}

func fill(counts *[256]uint64, byName map[string]uint64) error {
	for name, n := range byName {
		t, ok := typeByName[name]
		if !ok {
			return fmt.Errorf("perf: message counts: no message type %q", name)
		}
		counts[t] = n
	}
	return nil
}
