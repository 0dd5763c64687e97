package security

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Options say how much is done.
type Options struct {
	Daemon      string        // path of lockifyd
	Duration    time.Duration // of each measurement, before an attack and while it goes on, at least
	Connections int           // half-open ones, from 8
	Progress    func(attack string)
}

// Result is what an attack came to.
type Result struct {
	Attack      string  `json:"attack"`
	Rounds      int     `json:"rounds"`
	Connections int64   `json:"connections"`
	Frames      int64   `json:"frames"`
	Before      int64   `json:"rss_before"` // of the daemon, in bytes
	After       int64   `json:"rss_after"`
	Calm        float64 `json:"p99_before_us"` // of the victim's locks
	During      float64 `json:"p99_during_us"`
	Locks       int64   `json:"victim_locks"` // during
	Failed      string  `json:"failed,omitempty"`
}

// Ratio is by how much the attack slows the victim.
func (r *Result) Ratio() float64 {
	if r.Calm == 0 {
		return 0
	}
	return r.During / r.Calm
}

// Run attacks. The error joins all that failed.
func Run(ctx context.Context, o Options) (all []Result, err error) {
	r, err := start(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	for _, a := range attacks {
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

// pauseTime is from one round of an attack to the next, at least: all run on one machine, and
// mallory's handshakes alone would fill it.
const pauseTime = 100 * time.Millisecond

// one does one attack, again and again.
func (r *rig) one(ctx context.Context, a attack, d time.Duration) (Result, error) {
	res := Result{Attack: a.name}
	calm, err := r.beside(ctx, func() {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	})
	if err != nil {
		return res, err
	}
	if res.Before, err = r.daemon.Memory(); err != nil {
		return res, err
	}
	var t tally
	var failed error
	pause := time.NewTicker(pauseTime)
	defer pause.Stop()
	during, err := r.beside(ctx, func() {
		for end := time.Now().Add(d); failed == nil && (res.Rounds == 0 || time.Now().Before(end)); res.Rounds++ {
			failed = a.run(ctx, r, &t)
			<-pause.C
		}
	})
	res.Connections, res.Frames, res.Locks = t.connections.Load(), t.frames.Load(), during.Count()
	res.Calm, res.During = calm.QuantileUS(0.99), during.QuantileUS(0.99)
	if failed = errors.Join(failed, err); failed == nil {
		failed = r.check(ctx)
	}
	res.After, err = r.daemon.Memory()
	return res, errors.Join(failed, err)
}
