package perf

import (
	"encoding/json"
	"fmt"

	"github.com/lockify-dlm/lockify/wire"
)

// Messages counts messages by type, as they were sent and received up to some
// moment or over a time, and those that operations had to wait for.
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
func (m *Messages) NodeOut() uint64 { return ofNodes(&m.Out) }

// NodeIn gives the number of lock messages received from other nodes. In a
// whole cluster at rest it equals NodeOut.
func (m *Messages) NodeIn() uint64 { return ofNodes(&m.In) }

func ofNodes(counts *[256]uint64) uint64 {
	var n uint64
	for t, v := range counts {
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
	got, err := MessagesByName(j.In, j.Out)
	if err != nil {
		return err
	}
	got.Critical = j.Critical
	*m = got
	return nil
}

// MessagesByName makes Messages of counts under the names of the types.
func MessagesByName(in, out map[string]uint64) (m Messages, err error) {
	if err = fill(&m.In, in); err == nil {
		err = fill(&m.Out, out)
	}
	return m, err
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
