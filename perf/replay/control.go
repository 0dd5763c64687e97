package replay

import (
	"bufio"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/perf"
)

// Line is one line between the coordinator and a worker.
type line struct {
	T      string        `json:"t"`
	Config *workerConfig `json:"config,omitempty"` // first line to a worker
	Node   int           `json:"node,omitempty"`   // event: whose step
	Step   int           `json:"step,omitempty"`   // event: which
	Done   bool          `json:"done,omitempty"`   // event: completed, not only issued
	Phase  string        `json:"phase,omitempty"`
	From   int64         `json:"from,omitempty"` // end: ns of the machine's monotonic clock
	To     int64         `json:"to,omitempty"`
	Ops    int           `json:"ops,omitempty"` // progress
	Stats  *nodeStats    `json:"stats,omitempty"`
	Result *workerResult `json:"result,omitempty"`
	Error  string        `json:"error,omitempty"`
}

const (
	lineConfig   = "config"   // -> worker
	lineReady    = "ready"    // <- worker: connected
	lineGo       = "go"       // -> worker: start; go on after begin or end
	lineEvent    = "event"    // both: a step that another node waits for
	lineBegin    = "begin"    // <- worker: a phase is about to begin
	lineEnd      = "end"      // <- worker: a phase has ended
	lineProgress = "progress" // <- worker
	lineStats    = "stats"    // -> worker, and its answer
	lineResult   = "result"   // <- worker: the program has run
	lineError    = "error"    // <- worker: it cannot go on
)

// workerConfig tells a worker what to be.
type workerConfig struct {
	Trace     string        `json:"trace"`
	Nodes     int           `json:"nodes"`
	Repeat    int           `json:"repeat"`
	Until     string        `json:"until"`
	Notify    bool          `json:"notify"`
	Node      int           `json:"node"`
	Addrs     []string      `json:"addrs,omitempty"` // embedded: of all nodes
	Delay     time.Duration `json:"delay,omitempty"` // embedded: one way
	Socket    string        `json:"socket,omitempty"`
	Transport string        `json:"transport"`
	Profile   string        `json:"profile,omitempty"` // kind
	Dir       string        `json:"dir,omitempty"`     // where profiles go
	LogLevel  string        `json:"log_level"`
}

// nodeStats is what a node has counted since it started.
type nodeStats struct {
	Messages perf.Messages `json:"messages"`
	Frames   uint64        `json:"frames"`
	Bytes    uint64        `json:"bytes"`
	Claims   Claims        `json:"claims"`
	Held     Held          `json:"held"`
}

func (s *nodeStats) add(o *nodeStats) {
	s.Messages.Merge(o.Messages)
	s.Frames += o.Frames
	s.Bytes += o.Bytes
	s.Claims.add(o.Claims)
	s.Held.Messages += o.Held.Messages
	s.Held.Nanos += o.Held.Nanos
}

// workerResult is what a worker has measured.
type workerResult struct {
	Phases map[string]*phaseResult `json:"phases"`
	Check  Check                   `json:"check"`
}

type phaseResult struct {
	Ops        int             `json:"ops"`
	New        int             `json:"new"`
	Requests   int             `json:"requests"`
	Converts   int             `json:"converts"`
	Unlocks    int             `json:"unlocks"`
	Critical   uint64          `json:"critical"` // messages that new locks waited for
	AcquireNew *perf.Histogram `json:"acquire_new"`
	Acquire    *perf.Histogram `json:"acquire"`
	Convert    *perf.Histogram `json:"convert"`
}

func newPhaseResult() *phaseResult {
	return &phaseResult{AcquireNew: perf.NewHistogram(), Acquire: perf.NewHistogram(), Convert: perf.NewHistogram()}
}

// lines writes lines, from several goroutines.
type lines struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func newLines(w io.Writer) *lines { return &lines{w: bufio.NewWriter(w)} }

func (l *lines) send(v *line) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w.Write(b)
	l.w.WriteByte('\n')
	return l.w.Flush()
}

// maxLine bounds a line: a result with its histograms.
const maxLine = 64 << 20

// readLines calls f for each line until r ends.
func readLines(r io.Reader, f func(*line)) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		var v line
		if err := json.Unmarshal(s.Bytes(), &v); err != nil {
			return err
		}
		f(&v)
	}
	return s.Err()
}
