package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/perf/proc"
	"github.com/lockify-dlm/lockify/perf/trace"
	"github.com/lockify-dlm/lockify/wire"
)

// Options shape a run.
type Options struct {
	Trace     string        // name of an embedded trace, or a file
	Nodes     int           // nodes of the cluster; 0: the trace's
	RTT       time.Duration // artificial round trip between nodes, 0 to 2 s
	Repeat    int           // copies of the trace's files; 0: 1
	Until     string        // stop after this phase; "": the whole trace
	Socket    bool          // clients of lockifyd processes instead of embedded nodes
	Worker    []string      // command that runs Work, e.g. this program and "replay-worker"
	Daemon    string        // path of lockifyd; "": beside this program, or in PATH
	Profile   string        // kind of profile that each worker writes; "": none
	Dir       string        // where profiles go
	LogLevel  string        // of the nodes; "": error
	Transport string        // of the nodes: netpoll (default) or plain
	Progress  func(protocol, phase string, ops, of int)
}

// Protocols of a run.
const (
	Lookup = "lookup" // the classic DLM: every new name asks its directory node
	Notify = "notify" // what a file creation locks first is asked with New
)

// ErrStuck: no program made progress for stuckAfter.
var ErrStuck = errors.New("replay: no progress")

const stuckAfter = 30 * time.Second

// Run replays a trace once for each protocol, each on a cluster of its own.
func Run(ctx context.Context, o Options, protocols ...string) (*Report, error) {
	tr, err := trace.Load(o.Trace)
	if err != nil {
		return nil, err
	}
	if o.Nodes == 0 {
		o.Nodes = tr.Nodes[len(tr.Nodes)-1]
	}
	o.Repeat = max(o.Repeat, 1)
	if o.RTT < 0 || o.RTT > 2*time.Second {
		return nil, fmt.Errorf("replay: round trip of %v, must be 0 to 2s", o.RTT)
	}
	if o.LogLevel == "" {
		o.LogLevel = "error"
	}
	if o.Transport == "" {
		o.Transport = "netpoll"
	}
	plan, err := trace.NewPlan(tr, trace.Options{Nodes: o.Nodes, Repeat: o.Repeat, Until: o.Until})
	if err != nil {
		return nil, err
	}
	rep := &Report{
		Trace: tr.Name, Nodes: o.Nodes, RTTUS: float64(o.RTT) / 1e3, Attach: "embedded", Repeat: o.Repeat,
		Protocols: map[string]*ProtocolReport{},
	}
	if o.Socket {
		rep.Attach = "socket"
	}
	for _, p := range protocols {
		pr, err := runOne(ctx, o, plan, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		rep.Protocols[p] = pr
	}
	if l, n := rep.Protocols[Lookup], rep.Protocols[Notify]; l != nil && n != nil {
		if a, b := l.Phases["create"], n.Phases["create"]; a != nil && b != nil && a.OpsPerS > 0 {
			rep.Speedup = b.OpsPerS / a.OpsPerS
		}
	}
	return rep, nil
}

// coordinator runs one protocol.
type coordinator struct {
	opts     Options
	plan     *trace.Plan
	protocol string
	dir      string
	addrs    []string
	admins   []*admin.Client
	sockets  []string
	daemons  []*proc.Process
	workers  []*workerProc
	events   chan event
	windows  map[string]*window
	order    []string // of windows, by their first begin
	active   map[string]int
	moved    time.Time
}

// event is a line of a worker, or its end.
type event struct {
	from *workerProc
	line *line // nil: it has ended
}

type workerProc struct {
	*proc.Process
	node   int
	to     *lines
	stats  chan *nodeStats
	result *workerResult
	count  map[string]int // operations to come by phase
}

// window is the time in which some node was in a phase.
type window struct {
	spans    [][2]int64
	before   nodeStats
	messages nodeStats // difference, added up over disjoint stretches
	inside   int
	overlaps map[string]bool
}

func runOne(ctx context.Context, o Options, plan *trace.Plan, protocol string) (*ProtocolReport, error) {
	dir, err := os.MkdirTemp("", "lockify-replay-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c := &coordinator{
		opts: o, plan: plan, protocol: protocol, dir: dir, events: make(chan event, 1024),
		windows: map[string]*window{}, active: map[string]int{},
	}
	defer c.stop()
	if c.addrs, err = proc.FreeAddrs(o.Nodes); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, err
	}
	if err := c.loop(ctx); err != nil {
		return nil, err
	}
	end, err := c.quiesce(ctx)
	if err != nil {
		return nil, err
	}
	return c.report(end), nil
}

// start brings up the cluster and its workers.
func (c *coordinator) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if c.opts.Socket {
		if err := c.startDaemons(ctx); err != nil {
			return err
		}
	}
	for i := range c.opts.Nodes {
		w := &workerProc{node: i + 1, stats: make(chan *nodeStats, 1), count: map[string]int{}}
		for _, s := range c.plan.Programs[i].Steps {
			if s.Kind == trace.StepPhaseBegin {
				w.count[s.Phase] += s.Count
			}
		}
		p, err := proc.Start(fmt.Sprintf("node %d", i+1), func(r io.Reader) {
			readLines(r, func(l *line) {
				if l.T == lineStats {
					w.stats <- l.Stats
					return
				}
				c.events <- event{w, l}
			})
			c.events <- event{w, nil}
		}, c.opts.Worker[0], c.opts.Worker[1:]...)
		if err != nil {
			return err
		}
		w.Process, w.to = p, newLines(p.Stdin)
		c.workers = append(c.workers, w)
		cfg := &workerConfig{
			Trace: c.opts.Trace, Nodes: c.opts.Nodes, Repeat: c.opts.Repeat, Until: c.opts.Until,
			Notify: c.protocol == Notify, Node: w.node, Addrs: c.addrs, Delay: c.opts.RTT / 2,
			Profile: c.opts.Profile, Dir: filepath.Join(c.opts.Dir, fmt.Sprintf("node%d-%s", i+1, c.protocol)), LogLevel: c.opts.LogLevel, Transport: c.opts.Transport,
		}
		if c.opts.Socket {
			cfg.Socket = c.sockets[i]
		}
		if err := w.to.send(&line{T: lineConfig, Config: cfg}); err != nil {
			return err
		}
	}
	for n := 0; n < len(c.workers); {
		e, err := c.next(ctx)
		if err != nil {
			return err
		}
		if e.line.T == lineReady {
			n++
		}
	}
	return c.sendAll(&line{T: lineGo})
}

func (c *coordinator) sendAll(l *line) error {
	for _, w := range c.workers {
		if err := w.to.send(l); err != nil {
			return err
		}
	}
	return nil
}

// next gives the next line of a worker, or why there is none.
func (c *coordinator) next(ctx context.Context) (event, error) {
	select {
	case e := <-c.events:
		if e.line == nil {
			<-e.from.Ended
			return e, e.from.Failure()
		}
		if e.line.T == lineError {
			return e, errors.New(e.line.Error)
		}
		return e, nil
	case <-ctx.Done():
		return event{}, ctx.Err()
	}
}

// loop runs until all programs have.
func (c *coordinator) loop(ctx context.Context) error {
	for left := len(c.workers); left > 0; {
		step, cancel := context.WithTimeout(ctx, stuckAfter)
		e, err := c.next(step)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("%w for %v", ErrStuck, stuckAfter)
		}
		if err != nil {
			return err
		}
		switch e.line.T {
		case lineEvent:
			for _, w := range c.workers {
				if w != e.from && len(c.plan.Programs[w.node-1].Steps) > 0 {
					if err := w.to.send(e.line); err != nil {
						return err
					}
				}
			}
		case lineBegin:
			if err := c.begin(ctx, e); err != nil {
				return err
			}
		case lineEnd:
			if err := c.end(ctx, e); err != nil {
				return err
			}
		case lineProgress:
			if c.opts.Progress != nil {
				c.opts.Progress(c.protocol, e.line.Phase, e.line.Ops, e.from.count[e.line.Phase])
			}
			if err := c.alive(e); err != nil {
				return err
			}
		case lineResult:
			e.from.result = e.line.Result
			left--
		}
	}
	return nil
}

// alive notices a run in which only progress lines come, all the same.
func (c *coordinator) alive(e event) error {
	key := e.line.Phase
	if n := c.active["ops "+key]; n != e.line.Ops || c.moved.IsZero() {
		c.active["ops "+key] = e.line.Ops
		c.moved = time.Now()
	}
	if time.Since(c.moved) > stuckAfter {
		return fmt.Errorf("%w for %v: node %d is in phase %s after %d operations", ErrStuck, stuckAfter, e.from.node, key, e.line.Ops)
	}
	return nil
}

func (c *coordinator) begin(ctx context.Context, e event) error {
	w := c.windows[e.line.Phase]
	if w == nil {
		w = &window{overlaps: map[string]bool{}}
		c.windows[e.line.Phase] = w
		c.order = append(c.order, e.line.Phase)
	}
	for name, other := range c.windows {
		if other.inside > 0 && other != w {
			other.overlaps[e.line.Phase], w.overlaps[name] = true, true
		}
	}
	if w.inside++; w.inside == 1 {
		var err error
		if w.before, err = c.snapshot(ctx); err != nil {
			return err
		}
	}
	return e.from.to.send(&line{T: lineGo})
}

func (c *coordinator) end(ctx context.Context, e event) error {
	w := c.windows[e.line.Phase]
	w.spans = append(w.spans, [2]int64{e.line.From, e.line.To})
	if w.inside--; w.inside == 0 {
		after, err := c.quiesce(ctx)
		if err != nil {
			return err
		}
		after.sub(&w.before)
		w.messages.add(&after)
	}
	return e.from.to.send(&line{T: lineGo})
}

func (s *nodeStats) sub(o *nodeStats) {
	s.Messages = s.Messages.Sub(o.Messages)
	s.Frames -= o.Frames
	s.Bytes -= o.Bytes
	s.Held.Messages -= o.Held.Messages
	s.Held.Nanos -= o.Held.Nanos
}

// snapshot adds up the counters of all nodes.
func (c *coordinator) snapshot(ctx context.Context) (nodeStats, error) {
	var sum nodeStats
	if c.opts.Socket {
		for _, a := range c.admins {
			st, err := daemonStats(ctx, a)
			if err != nil {
				return sum, err
			}
			sum.add(st)
		}
		return sum, nil
	}
	if err := c.sendAll(&line{T: lineStats}); err != nil {
		return sum, err
	}
	for _, w := range c.workers {
		select {
		case st := <-w.stats:
			sum.add(st)
		case <-w.Ended:
			return sum, w.Failure()
		case <-ctx.Done():
			return sum, ctx.Err()
		}
	}
	return sum, nil
}

// quiesceFor bounds how long quiesce waits; quiesceBusy, while another phase
// goes on, which may keep the cluster from ever being quiet.
const (
	quiesceFor  = 2 * time.Second
	quiesceBusy = 300 * time.Millisecond
)

// quiesce waits until all messages sent have been received and no claim is
// open, so that what a phase has caused is counted in it. If that does not
// come about in time, the counters are taken as they are.
func (c *coordinator) quiesce(ctx context.Context) (nodeStats, error) {
	start := time.Now()
	for {
		waited := time.Since(start)
		st, err := c.snapshot(ctx)
		if err != nil {
			return st, err
		}
		limit := quiesceFor
		for _, w := range c.windows {
			if w.inside > 0 {
				limit = quiesceBusy
			}
		}
		if st.Messages.NodeOut() == st.Messages.NodeIn() && st.Claims.Open == 0 || waited > limit {
			return st, nil
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return st, ctx.Err()
		}
	}
}

// stop ends all processes.
func (c *coordinator) stop() {
	go func() {
		for range c.events { // workers must be able to write
		}
	}()
	for _, w := range c.workers {
		w.Stdin.Close()
	}
	for _, w := range c.workers {
		w.Stop(3 * time.Second)
	}
	for _, p := range c.daemons {
		p.Signal(os.Interrupt)
	}
	for _, p := range c.daemons {
		p.Stop(5 * time.Second)
	}
	close(c.events)
}

// report joins what all have measured.
func (c *coordinator) report(end nodeStats) *ProtocolReport {
	pr := &ProtocolReport{Phases: map[string]*PhaseReport{}, Claims: end.Claims, Held: end.Held}
	joined := map[string]*phaseResult{}
	for _, w := range c.workers {
		pr.Check.merge(w.result.Check)
		for name, p := range w.result.Phases {
			j := joined[name]
			if j == nil {
				j = newPhaseResult()
				joined[name] = j
			}
			j.merge(p)
		}
	}
	for _, name := range c.order {
		if j := joined[name]; j != nil && j.Ops > 0 {
			pr.Phases[name] = phaseReport(j, c.windows[name])
			pr.Order = append(pr.Order, name)
		}
	}
	return pr
}

func (p *phaseResult) merge(o *phaseResult) {
	p.Ops += o.Ops
	p.New += o.New
	p.Requests += o.Requests
	p.Converts += o.Converts
	p.Unlocks += o.Unlocks
	p.Critical += o.Critical
	p.AcquireNew.Merge(o.AcquireNew)
	p.Acquire.Merge(o.Acquire)
	p.Convert.Merge(o.Convert)
}

func phaseReport(j *phaseResult, w *window) *PhaseReport {
	ops := float64(j.Ops)
	p := &PhaseReport{
		Ops: j.Ops, Seconds: float64(unionNS(w.spans)) / 1e9, NewPerOp: float64(j.New) / ops,
		Requests: float64(j.Requests) / ops, Converts: float64(j.Converts) / ops, Unlocks: float64(j.Unlocks) / ops,
		NewUS: latency(j.AcquireNew), AcquireUS: latency(j.Acquire), ConvertUS: latency(j.Convert),
		FramesPerOp: float64(w.messages.Frames) / ops, BytesPerOp: float64(w.messages.Bytes) / ops,
		ByType: map[string]float64{},
	}
	p.OpsPerS = ops / p.Seconds
	p.Messages.Critical = float64(j.Critical) / ops
	p.Messages.Background = (float64(w.messages.Messages.NodeOut()) - float64(j.Critical)) / ops
	for t, n := range w.messages.Messages.Out {
		if n > 0 && wire.Type(t).Kind() == wire.KindNode {
			p.ByType[wire.Type(t).String()] = float64(n) / ops
		}
	}
	for name := range w.overlaps {
		p.Overlaps = append(p.Overlaps, name)
	}
	sort.Strings(p.Overlaps)
	return p
}

// unionNS gives the length of the union of spans.
func unionNS(spans [][2]int64) int64 {
	s := append([][2]int64(nil), spans...)
	sort.Slice(s, func(i, j int) bool { return s[i][0] < s[j][0] })
	sum, end := int64(0), int64(0)
	for _, x := range s {
		from := max(x[0], end)
		if x[1] > from {
			sum += x[1] - from
			end = x[1]
		}
	}
	return sum
}
