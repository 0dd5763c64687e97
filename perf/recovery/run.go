package recovery

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/perf/steady"
)

// Size is how many locks are held in a run.
type Size struct {
	Locks    int
	Affected int // of them: mastered by the node that is killed; must divide Locks
}

// Options say what to measure.
type Options struct {
	Nodes    int // at least 3
	Sizes    []Size
	Weighed  int // locks that are held to see what one takes; 0: that is not asked
	Lease    time.Duration
	Daemon   string            // path of lockifyd; empty: beside this program, or in PATH
	Progress func(what string) // nil: nobody wants to know
}

// probes is how many programs of each kind there are.
const probes = 24

// Measure kills a node of a new cluster for each size.
func Measure(ctx context.Context, o Options) (*Report, error) {
	if o.Nodes < 3 {
		return nil, fmt.Errorf("recovery: %d nodes, must be 3 at least: more than half of those that decide must live", o.Nodes)
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	// What the daemons have, so that a pause is theirs.
	if err := engine.ShortTurns(); err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	bytes, err := weigh(ctx, &o)
	if err != nil {
		return nil, fmt.Errorf("recovery: weighing: %w", err)
	}
	rep := &Report{Nodes: o.Nodes}
	for _, size := range o.Sizes {
		if size.Affected < 1 || size.Locks%size.Affected != 0 {
			return nil, fmt.Errorf("recovery: %d of %d locks cannot be affected: want a divisor, at least 1", size.Affected, size.Locks)
		}
		r, err := measureOne(ctx, &o, size, bytes)
		if err != nil {
			return nil, fmt.Errorf("recovery: %d locks: %w", size.Locks, err)
		}
		rep.Runs = append(rep.Runs, *r)
	}
	return rep, nil
}

// scene is a cluster with locks that are held.
type scene struct {
	*cluster
	o    *Options
	size Size
	run  Run
}

// name gives the i-th name, as long as a file system's names are.
func name(i int) string { return fmt.Sprintf("       2%16x", i) }

func (s *scene) live() int { return len(s.nodes) - 1 }

// master gives the node, from 0, that masters lock i: the last one, or one of the others.
func (s *scene) master(i int) int {
	if i%(s.size.Locks/s.size.Affected) == 0 {
		return s.live()
	}
	return i % s.live()
}

// holder gives the node where the program is that holds lock i: not its master, and not
// the one that is to be killed.
func (s *scene) holder(i int) int {
	m := s.master(i)
	h := i / 7 % s.live()
	if h == m {
		h = (h + 1) % s.live()
	}
	return h
}

func measureOne(ctx context.Context, o *Options, size Size, bytes float64) (*Run, error) {
	o.Progress(fmt.Sprintf("%d locks: starting %d daemons", size.Locks, o.Nodes))
	c, err := startCluster(ctx, o, o.Nodes)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	s := &scene{cluster: c, o: o, size: size, run: Run{Locks: size.Locks, Affected: size.Affected, MasterBytes: bytes}}
	o.Progress(fmt.Sprintf("%d locks: taking them", size.Locks))
	if _, err := s.hold(ctx, size.Locks, s.master, s.holder, name); err != nil {
		return nil, err
	}
	// What this program leaves behind must not be collected while it measures. In this order:
	// at the end of a collection with no goal the runtime asks for huge pages for its own tables,
	// which Linux' khugepaged makes at some later time, with a processor for 6 ms.
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if err := s.kill(ctx); err != nil {
		return nil, err
	}
	return &s.run, nil
}

// chunk is how many locks are taken in one go: what is given up again in between is
// not to be in the way of weighing.
const chunk = 8192

// hold takes all locks: first what makes its node a name's master, then the lock that
// stays; then that is given up.
func (s *scene) hold(ctx context.Context, n int, master, holder func(i int) int, name func(i int) string) ([]*lockify.Lock, error) {
	made, held := make([]*lockify.Lock, n), make([]*lockify.Lock, n)
	for from := 0; from < n; from += chunk {
		k := min(chunk, n-from)
		err := each(ctx, k, func(i int, done func(error)) {
			i += from
			made[i] = s.nodes[master(i)].space.LockAsync(name(i), lockify.NL, func(_ *lockify.Lock, err error) { done(err) }, lockify.New())
		})
		if err := errors.Join(err, s.barrier(ctx)); err != nil {
			return nil, err
		}
		err = each(ctx, k, func(i int, done func(error)) {
			i += from
			held[i] = s.nodes[holder(i)].space.LockAsync(name(i), lockify.EX, func(_ *lockify.Lock, err error) { done(err) })
		})
		if err != nil {
			return nil, err
		}
		if err := each(ctx, k, func(i int, done func(error)) { made[from+i].UnlockAsync(done) }); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// barrier waits until the cluster knows what was made.
func (s *scene) barrier(ctx context.Context) error {
	for _, nd := range s.nodes {
		if err := nd.space.Barrier(ctx); err != nil {
			return err
		}
	}
	return nil
}

// weigh finds out what a lock that a program at another node holds takes on its master,
// in bytes. It has a cluster of its own: names stay known for a while.
func weigh(ctx context.Context, o *Options) (float64, error) {
	if o.Weighed == 0 {
		return 0, nil
	}
	o.Progress(fmt.Sprintf("weighing %d locks", o.Weighed))
	c, err := startCluster(ctx, o, o.Nodes)
	if err != nil {
		return 0, err
	}
	defer c.stop()
	s := &scene{cluster: c, o: o}
	master, weighed := s.nodes[0], o.Weighed
	before, err := master.heap(ctx)
	if err != nil {
		return 0, err
	}
	_, err = s.hold(ctx, weighed, func(int) int { return 0 }, func(int) int { return 1 }, func(i int) string { return fmt.Sprintf("       3%16x", i) })
	if err != nil {
		return 0, err
	}
	after, err := master.heap(ctx)
	return (after - before) / float64(weighed), err
}

// programs makes those that lock names which the given masters have.
func (s *scene) programs(ctx context.Context, kind string, master func(k int) int) ([]*program, error) {
	members := make([]lockspace.Member, len(s.nodes))
	for i := range members {
		members[i].ID = uint16(i + 1)
	}
	view, err := lockspace.NewView(1, members)
	if err != nil {
		return nil, err
	}
	var list []*program
	for i := 0; len(list) < probes; i++ {
		text := fmt.Sprintf("%s %d", kind, i)
		k := len(list)
		m := master(k)
		if int(view.Directory(lockspace.Hash([]byte(text)))) == len(s.nodes) {
			continue
		}
		// The lock in NL keeps the name there.
		if _, err := s.nodes[m].space.Lock(ctx, text, lockify.NL, lockify.New()); err != nil {
			return nil, err
		}
		list = append(list, &program{space: s.nodes[(k+k/s.live()%2)%s.live()].space, name: text})
	}
	return list, s.barrier(ctx)
}

// kill kills the last node and measures until the others have recovered.
func (s *scene) kill(ctx context.Context) error {
	s.o.Progress(fmt.Sprintf("%d locks: %v of rest", s.size.Locks, s.o.Lease))
	unaffected, err := s.programs(ctx, "unaffected", func(k int) int { return k % s.live() })
	if err != nil {
		return err
	}
	affected, err := s.programs(ctx, "affected", func(int) int { return s.live() })
	if err != nil {
		return err
	}
	watch := s.watch(ctx)
	defer watch.stop()
	machine := steady.Start()
	defer machine.Stop()
	free, waits := start(unaffected), start(affected)
	if err := s.rest(ctx, free, machine); err != nil {
		return err
	}
	before, err := s.counts(ctx, s.live())
	if err != nil {
		return err
	}
	s.o.Progress(fmt.Sprintf("%d locks: node %d is killed", s.size.Locks, len(s.nodes)))
	free.begin()
	waits.begin()
	killed := time.Now()
	s.nodes[s.live()].daemon.Kill()
	detected, recovered, err := s.await(ctx, watch)
	if err != nil {
		return err
	}
	s.run.DetectMS, s.run.RecoverMS = ms(detected.Sub(killed)), ms(recovered.Sub(detected))
	if err := errors.Join(free.stop(ctx), waits.stop(ctx)); err != nil {
		return err
	}
	slow := machine.Slow()
	s.run.Unaffected, s.run.UnaffectedSteady = free.pause(killed, nil), free.pause(killed, slow)
	s.run.AffectedPause = waits.pause(detected, nil)
	s.run.Slow = slow.Share(killed, time.Now())
	after, err := s.counts(ctx, s.live())
	s.run.Messages, s.run.Bytes, s.run.Lost = after.messages-before.messages, after.bytes-before.bytes, after.lost-before.lost
	return err
}

// rest measures for as long as a death goes unnoticed, to compare with.
func (s *scene) rest(ctx context.Context, free *programs, machine *steady.Watch) error {
	pass := func() error {
		rest := time.NewTimer(s.o.Lease)
		select {
		case <-rest.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	free.begin()
	from := time.Now()
	if err := pass(); err != nil {
		return err
	}
	slow := machine.Slow()
	s.run.Quiet, s.run.QuietSteady = free.pause(from, nil), free.pause(from, slow)
	s.run.QuietSlow = slow.Share(from, time.Now())
	return nil
}

// await waits until a live node has a view without the dead one, and until all have
// recovered, as the nodes tell.
func (s *scene) await(ctx context.Context, w *watch) (detected, recovered time.Time, err error) {
	var used time.Duration
	for ended := 0; ended < s.live(); {
		e, err := w.next(ctx)
		if err != nil {
			return detected, recovered, err
		}
		switch {
		case e.Kind == "recovery-end":
			ended++
			recovered = later(recovered, e.Time)
		case detected.IsZero():
			if used, err = s.cpu(s.live()); err != nil {
				return detected, recovered, err
			}
			detected = e.Time
		case e.Time.Before(detected):
			detected = e.Time
		}
	}
	all, err := s.cpu(s.live())
	s.run.CPUMS = ms(all - used)
	return detected, recovered, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
