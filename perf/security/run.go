package security

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/proc"
)

// Options say how much is done.
type Options struct {
	Daemon      string        // path of lockifyd
	Worker      []string      // program and arguments that call Work, the order comes behind them
	Duration    time.Duration // of each measurement, without an attack and while it goes on, at least
	Connections int           // half-open ones, from 8
	Only        string        // attacks whose names have this in them
	Progress    func(attack string)
}

// Result is what an attack came to.
type Result struct {
	Attack       string  `json:"attack"`
	Control      bool    `json:"control,omitempty"` // it is none, the daemon is left alone
	Rounds       int     `json:"rounds"`
	Connections  int64   `json:"connections"`
	Frames       int64   `json:"frames"`
	Before       int64   `json:"rss_before"` // of the daemon, in bytes
	After        int64   `json:"rss_after"`
	CalmP50      float64 `json:"p50_before_us"` // of the victims' locks
	DuringP50    float64 `json:"p50_during_us"`
	Calm         float64 `json:"p99_before_us"`
	During       float64 `json:"p99_during_us"`
	CalmSteady   float64 `json:"steady_p99_before_us"` // without the times in which the machine was slow, see package steady
	DuringSteady float64 `json:"steady_p99_during_us"`
	CalmAside    float64 `json:"bystanders_p99_before_us"` // of a daemon that is not attacked
	DuringAside  float64 `json:"bystanders_p99_during_us"`
	Slow         float64 `json:"slow_share"`   // of the time that was measured
	Locks        int64   `json:"victim_locks"` // during
	Daemon       float64 `json:"daemon_cpus"`  // processors that the daemon has used during
	Foe          float64 `json:"attacker_cpus"`
	NewcomerMS   float64 `json:"newcomer_ms"` // the longest that a newcomer took for handshake and lock
	Failed       string  `json:"failed,omitempty"`
}

// Ratio is by how much the attack slows the victims.
func (r *Result) Ratio() float64 { return ratio(r.During, r.Calm) }

// AsideRatio is by how much the attack slows who has nothing to do with the daemon: by using
// the machine's processors.
func (r *Result) AsideRatio() float64 { return ratio(r.DuringAside, r.CalmAside) }

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// Run attacks. The error joins all that failed.
func Run(ctx context.Context, o Options) (all []Result, err error) {
	chosen := slices.DeleteFunc(slices.Clone(attacks), func(a attack) bool { return !strings.Contains(a.name, o.Only) })
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no attack has %q in its name; there are %s", o.Only, names())
	}
	r, err := start(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for _, a := range chosen {
		if ctx.Err() != nil {
			return all, errors.Join(err, ctx.Err())
		}
		if o.Progress != nil {
			o.Progress(a.name)
		}
		res, failed := r.one(ctx, a, o.Duration)
		if failed != nil {
			failed = fmt.Errorf("%s: %w", a.name, failed)
			res.Failed = failed.Error()
		}
		err = errors.Join(err, failed)
		all = append(all, res)
		select {
		case <-r.daemon.Ended:
			return all, errors.Join(err, r.daemon.Failure())
		default:
		}
	}
	return all, err
}

// names are those of the attacks.
func names() string {
	var all []string
	for _, a := range attacks {
		all = append(all, a.name)
	}
	return strings.Join(all, "; ")
}

// A machine is not the same from one second to the next, so slices of the measurements
// without and with an attack come in turn. Behind an attack there is a pause: what is left of
// it is none of what comes next.
const (
	sliceTime = 100 * time.Millisecond
	maxTurns  = 10
	pauseTime = 100 * time.Millisecond
)

func turns(d time.Duration) int { return int(min(max(1, d/sliceTime), maxTurns)) }

// one does one attack, again and again.
func (r *rig) one(ctx context.Context, a attack, d time.Duration) (res Result, err error) {
	res = Result{Attack: a.name, Control: a.control}
	calm, during := newSeen(), newSeen()
	if res.Before, err = r.daemon.Memory(); err != nil {
		return res, err
	}
	n := turns(d)
	var spent meter
	for range n {
		if err = sleep(ctx, pauseTime); err == nil {
			err = r.beside(ctx, calm, func() error { return sleep(ctx, d/time.Duration(n)) })
		}
		if err == nil {
			err = r.beside(ctx, during, func() error {
				return spent.of(r.daemon, r.foes[a.by].Process, func() error {
					return r.slice(ctx, &res, a, d/time.Duration(n))
				})
			})
		}
		if err != nil {
			break
		}
	}
	spent.into(&res)
	res.Locks = during.all.Count()
	res.CalmP50, res.DuringP50 = calm.all.QuantileUS(0.5), during.all.QuantileUS(0.5)
	res.Calm, res.During = calm.all.QuantileUS(0.99), during.all.QuantileUS(0.99)
	res.CalmSteady, res.DuringSteady = calm.steady.QuantileUS(0.99), during.steady.QuantileUS(0.99)
	res.CalmAside, res.DuringAside = calm.aside.QuantileUS(0.99), during.aside.QuantileUS(0.99)
	res.Slow = (calm.slow + during.slow).Seconds() / max((calm.time+during.time).Seconds(), 1e-9)
	if err == nil {
		err = r.check(ctx, &res)
	}
	var e error
	res.After, e = r.daemon.Memory()
	return res, errors.Join(err, e)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// slice has somebody attack for a while. Where connections crowd, a newcomer comes, too.
func (r *rig) slice(ctx context.Context, res *Result, a attack, d time.Duration) error {
	foe := r.foes[a.by]
	if err := foe.tell(turn{Attack: a.name, For: d}); err != nil {
		return err
	}
	var failed error
	if a.name == halfOpenName {
		if failed = sleep(ctx, d/2); failed == nil {
			failed = r.newcomer(ctx, res)
		}
	}
	out, err := foe.await(ctx)
	res.Rounds += out.Rounds
	res.Connections += out.Connections
	res.Frames += out.Frames
	return errors.Join(failed, err)
}

// seen is what victims and bystanders have seen.
type seen struct {
	all, steady, aside *perf.Histogram
	time, slow         time.Duration
}

func newSeen() *seen {
	return &seen{all: perf.NewHistogram(), steady: perf.NewHistogram(), aside: perf.NewHistogram()}
}

// beside measures victims and bystanders while f runs.
func (r *rig) beside(ctx context.Context, s *seen, f func() error) error {
	if err := r.measure(); err != nil {
		return err
	}
	failed := f()
	if err := r.measure(); err != nil {
		return errors.Join(failed, err)
	}
	out, err := r.victims.await(ctx)
	if err == nil {
		s.all.Merge(out.Latencies)
		s.steady.Merge(out.Steady)
		s.time += out.Time
		s.slow += out.Slow
		out, err = r.bystanders.await(ctx)
	}
	if err == nil {
		s.aside.Merge(out.Latencies)
	}
	return errors.Join(failed, err)
}

// measure has both begin, or end.
func (r *rig) measure() error { return errors.Join(r.victims.tell(turn{}), r.bystanders.tell(turn{})) }

// meter adds up the times that processes have used of the processors.
type meter struct{ daemon, foe, wall time.Duration }

func (m *meter) of(daemon, foe *proc.Process, f func() error) error {
	begin := time.Now()
	d0, err0 := daemon.CPU()
	f0, err1 := foe.CPU()
	failed := f()
	d1, err2 := daemon.CPU()
	f1, err3 := foe.CPU()
	m.wall += time.Since(begin)
	m.daemon += d1 - d0
	m.foe += f1 - f0
	return errors.Join(failed, err0, err1, err2, err3)
}

func (m *meter) into(res *Result) {
	if m.wall > 0 {
		res.Daemon, res.Foe = m.daemon.Seconds()/m.wall.Seconds(), m.foe.Seconds()/m.wall.Seconds()
	}
}
