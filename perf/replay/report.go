package replay

import "github.com/lockify-dlm/lockify/perf"

// Report is the outcome of a run, in the form of --json.
type Report struct {
	Trace     string                     `json:"trace"`
	Nodes     int                        `json:"nodes"`
	RTTUS     float64                    `json:"rtt_us"` // artificial round trip
	Attach    string                     `json:"attach"` // embedded or socket
	Repeat    int                        `json:"repeat"`
	Speedup   float64                    `json:"speedup"` // creations a second, notify over lookup; 0 unless both ran
	Protocols map[string]*ProtocolReport `json:"protocols"`
}

// ProtocolReport is one run of the trace.
type ProtocolReport struct {
	Phases map[string]*PhaseReport `json:"phases"`
	Order  []string                `json:"order"` // of the phases, by their first begin
	Claims Claims                  `json:"claims"`
	Held   Held                    `json:"held"` // what the release fence has held back
	Check  Check                   `json:"check"`
}

// PhaseReport is one phase of the trace; phases of one name on several nodes
// are joined.
type PhaseReport struct {
	Ops       int     `json:"ops"`
	OpsPerS   float64 `json:"ops_per_s"` // over the time in which some node was in the phase
	Seconds   float64 `json:"seconds"`
	NewPerOp  float64 `json:"new_locks_per_op"` // first locks of a name
	Requests  float64 `json:"requests_per_op"`
	Converts  float64 `json:"converts_per_op"`
	Unlocks   float64 `json:"unlocks_per_op"`
	NewUS     Latency `json:"acquire_new_us"` // from asking for a new lock to its completion
	AcquireUS Latency `json:"acquire_us"`     // the same, all first requests
	ConvertUS Latency `json:"convert_us"`
	Messages  struct {
		Critical   float64 `json:"critical"`   // one-way messages between nodes that the new locks waited for
		Background float64 `json:"background"` // all other lock messages sent during the phase
	} `json:"messages_per_op"`
	FramesPerOp float64            `json:"frames_per_op"`
	BytesPerOp  float64            `json:"bytes_per_op"` // of frames between nodes
	ByType      map[string]float64 `json:"messages_by_type_per_op"`
	// Overlaps names phases that other nodes ran at the same time: their
	// messages are counted here too.
	Overlaps []string `json:"overlaps,omitempty"`
}

// Latency is a distribution in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Mean  float64 `json:"mean"`
	Max   float64 `json:"max"`
}

func latency(h *perf.Histogram) Latency {
	if h.Count() == 0 {
		return Latency{}
	}
	return Latency{h.Count(), h.QuantileUS(0.5), h.QuantileUS(0.99), h.MeanUS(), h.MaxUS()}
}

// Claims counts self-owner notifications of all nodes.
type Claims struct {
	Made      uint64 `json:"made"`
	Confirmed uint64 `json:"confirmed"`
	Adopted   uint64 `json:"adopted"` // the name was still mastered elsewhere, idle: taken over cleanly
	Lost      uint64 `json:"lost"`    // the name was in use
	Refused   uint64 `json:"refused"` // asked for, but done as a lookup
	Open      uint64 `json:"open"`    // not closed at the end
	Resent    uint64 `json:"resent"`  // NOTIFYs the watchdog sent again
	Nanos     uint64 `json:"open_ns"` // time that closed claims were open, added up
}

func (c *Claims) add(o Claims) {
	c.Made += o.Made
	c.Confirmed += o.Confirmed
	c.Adopted += o.Adopted
	c.Lost += o.Lost
	c.Refused += o.Refused
	c.Open += o.Open
	c.Resent += o.Resent
	c.Nanos += o.Nanos
}

// Held counts messages that waited for the release fence.
type Held struct {
	Messages uint64 `json:"messages"`
	Nanos    uint64 `json:"ns"` // waited, added up
}

// Check compares the run with what the kernel did in the trace.
type Check struct {
	Statuses      int            `json:"statuses"`       // completions compared
	StatusesEqual int            `json:"statuses_equal"` // of these, with the kernel's status
	Basts         int            `json:"basts"`          // blocking calls the kernel delivered
	BastsEqual    int            `json:"basts_equal"`    // of these, delivered with the same mode, in the same order, on the same lock
	BastsExtra    int            `json:"basts_extra"`    // delivered here but not by the kernel
	Kinds         map[string]int `json:"differences"`    // by kind
	Examples      []Difference   `json:"examples,omitempty"`
}

// Difference is one place where the run differs from the trace.
type Difference struct {
	Kind string `json:"kind"`
	Node int    `json:"node"`
	Line int    `json:"line"` // of the trace
	Name string `json:"name"`
	Want string `json:"want"`
	Got  string `json:"got"`
}

const maxExamples = 20

func (c *Check) differ(d Difference) {
	if c.Kinds == nil {
		c.Kinds = map[string]int{}
	}
	c.Kinds[d.Kind]++
	if len(c.Examples) < maxExamples {
		c.Examples = append(c.Examples, d)
	}
}

func (c *Check) merge(o Check) {
	c.Statuses += o.Statuses
	c.StatusesEqual += o.StatusesEqual
	c.Basts += o.Basts
	c.BastsEqual += o.BastsEqual
	c.BastsExtra += o.BastsExtra
	for k, n := range o.Kinds {
		if c.Kinds == nil {
			c.Kinds = map[string]int{}
		}
		c.Kinds[k] += n
	}
	c.Examples = append(c.Examples, o.Examples...)
	if len(c.Examples) > maxExamples {
		c.Examples = c.Examples[:maxExamples]
	}
}
