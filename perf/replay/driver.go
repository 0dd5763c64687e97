package replay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/perf/trace"
)

// driver runs one node's program of a plan.
type driver struct {
	cfg     *workerConfig
	worker  *worker
	space   *lockify.Lockspace
	program *trace.Program
	locks   []*replayLock
	value   []byte

	wanted    map[int]uint8 // steps of ours that others wait for: 1 issued, 2 completed
	phases    map[string]*phaseResult
	phase     *phaseResult
	began     map[string]int64
	check     Check
	ops       atomic.Int64 // of the running phase
	announced int          // operations of the running phase, by its begin mark
	current   atomic.Pointer[string]
	progress  chan struct{}

	mu      sync.Mutex
	changed sync.Cond
	done    []bool
	seen    map[trace.Ref]bool
	ended   error
}

// replayLock is one lock of the program.
type replayLock struct {
	lock  *lockify.Lock
	basts []trace.Mode // guarded by driver.mu
	gone  bool
}

func newDriver(plan *trace.Plan, cfg *workerConfig, w *worker) *driver {
	p := &plan.Programs[cfg.Node-1]
	d := &driver{
		cfg: cfg, worker: w, program: p, locks: make([]*replayLock, len(p.Locks)), value: make([]byte, 8),
		wanted: map[int]uint8{}, phases: map[string]*phaseResult{}, began: map[string]int64{},
		done: make([]bool, len(p.Steps)), seen: map[trace.Ref]bool{}, progress: make(chan struct{}),
	}
	d.changed.L = &d.mu
	d.phase = newPhaseResult() // between phases: not reported
	for i := range d.locks {
		d.locks[i] = &replayLock{}
	}
	for _, other := range plan.Programs {
		for i := range other.Steps {
			for _, r := range other.Steps[i].After {
				if r.Node == cfg.Node && r.Completed {
					d.wanted[r.Step] |= 2
				} else if r.Node == cfg.Node {
					d.wanted[r.Step] |= 1
				}
			}
		}
	}
	return d
}

// run executes the program.
func (d *driver) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		d.mu.Lock()
		d.ended = ctx.Err()
		d.changed.Broadcast()
		d.mu.Unlock()
	})
	defer stop()
	go d.tellProgress(ctx)
	defer close(d.progress)
	for i := range d.program.Steps {
		s := &d.program.Steps[i]
		if err := d.await(s); err != nil {
			return fmt.Errorf("node %d, step of trace line %d: %w", d.cfg.Node, s.Line, err)
		}
		if s.Kind.IsMark() {
			if err := d.mark(ctx, s); err != nil {
				return err
			}
			d.finish(i)
		} else {
			d.issue(i, s)
		}
		if d.wanted[i]&1 != 0 {
			d.tell(i, false)
		}
	}
	return d.settle()
}

// await waits for what the step depends on.
func (d *driver) await(s *trace.Step) error {
	if len(s.Own) == 0 && s.Basts == 0 && len(s.After) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.may(s) {
		if d.ended != nil {
			return d.ended
		}
		d.changed.Wait()
	}
	return nil
}

func (d *driver) may(s *trace.Step) bool {
	for _, i := range s.Own {
		if !d.done[i] {
			return false
		}
	}
	if s.Basts > 0 && len(d.locks[s.Lock].basts) < s.Basts && !d.locks[s.Lock].gone {
		return false
	}
	for _, r := range s.After {
		if !d.seen[r] {
			return false
		}
	}
	return true
}

// settle waits for all that is under way.
func (d *driver) settle() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.done {
		for !d.done[i] {
			if d.ended != nil {
				return d.ended
			}
			d.changed.Wait()
		}
	}
	return nil
}

// finish records that a step is complete.
func (d *driver) finish(i int) {
	d.mu.Lock()
	d.done[i] = true
	d.changed.Broadcast()
	d.mu.Unlock()
	if d.wanted[i]&2 != 0 {
		d.tell(i, true)
	}
}

func (d *driver) tell(i int, done bool) {
	d.worker.out.send(&line{T: lineEvent, Node: d.cfg.Node, Step: i, Done: done})
}

// remote records a step of another node.
func (d *driver) remote(r trace.Ref) {
	d.mu.Lock()
	d.seen[r] = true
	d.changed.Broadcast()
	d.mu.Unlock()
}

// monotonic is the machine's clock, the same in all processes.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every Linux has it
	}
	return ts.Nano()
}

// mark begins or ends a phase or an operation. The coordinator takes counters
// at both ends of a phase; that time is not the phase's.
func (d *driver) mark(ctx context.Context, s *trace.Step) error {
	switch s.Kind {
	case trace.StepPhaseBegin:
		p := d.phases[s.Phase]
		if p == nil {
			p = newPhaseResult()
			d.phases[s.Phase] = p
		}
		d.phase = p
		d.worker.out.send(&line{T: lineBegin, Phase: s.Phase})
		if err := d.worker.await(ctx); err != nil {
			return err
		}
		name := s.Phase
		d.current.Store(&name)
		d.ops.Store(0)
		d.announced = s.Count
		d.began[s.Phase] = monotonic()
	case trace.StepPhaseEnd:
		if err := d.settleBefore(s); err != nil {
			return err
		}
		now := monotonic()
		if d.ops.Load() == 0 { // the recording does not mark this phase's operations
			d.phase.Ops += d.announced
		}
		d.phase = newPhaseResult()
		d.worker.out.send(&line{T: lineEnd, Phase: s.Phase, From: d.began[s.Phase], To: now})
		return d.worker.await(ctx)
	case trace.StepOp:
		d.phase.Ops++
		d.ops.Add(1)
	}
	return nil
}

// settleBefore waits until the operations issued so far are complete, so that
// they count in the phase that began them.
func (d *driver) settleBefore(end *trace.Step) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.program.Steps {
		if &d.program.Steps[i] == end {
			return nil
		}
		for !d.done[i] {
			if d.ended != nil {
				return d.ended
			}
			d.changed.Wait()
		}
	}
	return nil
}

// options translates the kernel's flags.
func (d *driver) options(s *trace.Step) []lockify.Option {
	var o []lockify.Option
	switch {
	case s.Flags&trace.NoQueueBast != 0:
		o = append(o, lockify.NoQueueBlocking())
	case s.Flags&trace.NoQueue != 0:
		o = append(o, lockify.NoQueue())
	}
	if s.Flags&trace.QueCvt != 0 {
		o = append(o, lockify.QueueConvert())
	}
	if s.Flags&trace.NoDlckWt != 0 {
		o = append(o, lockify.WaitOnDeadlock())
	}
	if s.Flags&trace.ConvDeadlk != 0 {
		o = append(o, lockify.DemoteOnDeadlock())
	}
	switch {
	case s.Flags&trace.ValBlk == 0:
	case s.Kind == trace.StepLock:
		o = append(o, lockify.ReadValue())
	default:
		o = append(o, lockify.WithValue(d.value))
	}
	if s.Creation && d.cfg.Notify {
		o = append(o, lockify.New())
	}
	return o
}

// issue begins a step's operation.
func (d *driver) issue(i int, s *trace.Step) {
	rl := d.locks[s.Lock]
	p := d.phase
	opts := d.options(s)
	if s.Kind != trace.StepLock && rl.lock == nil {
		d.compare(i, s, noStatus) // its request has failed
		return
	}
	switch s.Kind {
	case trace.StepLock:
		p.Requests++
		opts = append(opts, lockify.OnBlocking(func(_ *lockify.Lock, mode lockify.Mode) { d.blocked(rl, mode) }))
		name := string(s.Name)
		start := time.Now()
		d.space.LockAsync(name, lockify.Mode(s.Mode), func(l *lockify.Lock, err error) {
			took := time.Since(start)
			d.locked(i, s, p, l, err, took)
		}, opts...)
	case trace.StepConvert:
		p.Converts++
		start := time.Now()
		rl.lock.ConvertAsync(lockify.Mode(s.Mode), func(err error) {
			took := time.Since(start)
			d.mu.Lock()
			p.Convert.Record(took)
			d.mu.Unlock()
			d.compare(i, s, statusOf(err))
		}, opts...)
	case trace.StepUnlock:
		p.Unlocks++
		rl.lock.UnlockAsync(func(err error) {
			st := statusOf(err)
			if err == nil {
				st = trace.Unlocked
			}
			d.compare(i, s, st)
		}, opts...)
	}
}

// locked ends a new lock.
func (d *driver) locked(i int, s *trace.Step, p *phaseResult, l *lockify.Lock, err error, took time.Duration) {
	rl := d.locks[s.Lock]
	d.mu.Lock()
	p.Acquire.Record(took)
	if s.NewName {
		p.New++
		p.AcquireNew.Record(took)
		if l != nil {
			p.Critical += uint64(l.Messages())
		}
	}
	d.mu.Unlock()
	if err == nil {
		rl.lock = l
		if s.Status != trace.OK { // the program thinks it has no lock
			l.UnlockAsync(func(error) {})
		}
	} else {
		d.mu.Lock()
		rl.gone = true
		d.mu.Unlock()
	}
	d.compare(i, s, statusOf(err))
}

func (d *driver) blocked(rl *replayLock, mode lockify.Mode) {
	d.mu.Lock()
	rl.basts = append(rl.basts, trace.Mode(mode))
	d.changed.Broadcast()
	d.mu.Unlock()
}

// statusOf gives the kernel's status for an error.
func statusOf(err error) trace.Status {
	switch {
	case err == nil:
		return trace.OK
	case errors.Is(err, lockify.ErrWouldBlock):
		return trace.ErrAgain
	case errors.Is(err, lockify.ErrDeadlock):
		return trace.ErrDeadlk
	case errors.Is(err, lockify.ErrCancelled):
		return trace.ErrCancel
	}
	return noStatus
}

// noStatus is none of the kernel's.
const noStatus = trace.Status(-1)

// compare holds a completion against the trace's.
func (d *driver) compare(i int, s *trace.Step, got trace.Status) {
	d.mu.Lock()
	d.check.Statuses++
	if got == s.Status {
		d.check.StatusesEqual++
	} else {
		d.check.differ(Difference{
			Kind: s.Kind.String() + " status", Node: d.cfg.Node, Line: s.Line, Name: printable(s.Name),
			Want: fmt.Sprint(s.Status), Got: fmt.Sprint(got),
		})
	}
	d.mu.Unlock()
	d.finish(i)
}

func printable(name []byte) string { return fmt.Sprintf("%q", name) }

// result closes the books.
func (d *driver) result() *workerResult {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.program.Locks {
		d.compareBasts(&d.program.Locks[i], d.locks[i].basts)
	}
	return &workerResult{Phases: d.phases, Check: d.check}
}

// compareBasts counts the kernel's basts that came here too, in order.
func (d *driver) compareBasts(l *trace.Lock, got []trace.Mode) {
	d.check.Basts += len(l.Basts)
	equal := 0
	for equal < min(len(l.Basts), len(got)) && l.Basts[equal] == got[equal] {
		equal++
	}
	d.check.BastsEqual += equal
	d.check.BastsExtra += max(0, len(got)-len(l.Basts))
	if equal < len(l.Basts) || len(got) > len(l.Basts) {
		d.check.differ(Difference{
			Kind: "basts of a lock", Node: d.cfg.Node, Line: d.program.Steps[l.First].Line, Name: printable(l.Name),
			Want: fmt.Sprint(l.Basts), Got: fmt.Sprint(got),
		})
	}
}

// tellProgress reports now and then how far the program is.
func (d *driver) tellProgress(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if p := d.current.Load(); p != nil {
				d.worker.out.send(&line{T: lineProgress, Phase: *p, Ops: int(d.ops.Load())})
			}
		case <-d.progress:
			return
		case <-ctx.Done():
			return
		}
	}
}
