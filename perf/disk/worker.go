package disk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
	"github.com/lockify-dlm/lockify/blockdev/uring"
	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/bare"
)

// order is what a worker process is to do.
type order struct {
	Role       string        `json:"role"`
	Job        Job           `json:"job"`
	Addr       string        `json:"addr"` // to connect to
	File       string        `json:"file"`
	Size       int64         `json:"size"` // bytes of the namespace
	Spin       time.Duration `json:"spin"`
	Duration   time.Duration `json:"duration"`
	Profile    string        `json:"profile"`
	ProfileDir string        `json:"profile_dir"`
}

// Roles of a worker.
const (
	roleTarget   = "target"
	roleLoad     = "load"
	roleReceiver = "receiver"
	roleSender   = "sender"
	roleEcho     = "echo"
	rolePinger   = "pinger"
)

// line is what a worker says.
type line struct {
	Addr  string `json:"addr,omitempty"`  // it listens
	Usage *Usage `json:"usage,omitempty"` // in answer to any line of input
	Begun bool   `json:"begun,omitempty"` // it measures from now on
	Round *Round `json:"round,omitempty"` // it has measured
}

const (
	subNQN    = "nqn.2025-01.io.lockify:bench"
	blockSize = 512
)

// Work is the body of a worker process: arg is its order, in is closed when it shall end.
func Work(ctx context.Context, arg string, in io.Reader, out io.Writer) (err error) {
	var o order
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return fmt.Errorf("disk: order %q: %w", arg, err)
	}
	if o.Profile != "" {
		stop, err := perf.StartProfile(o.Profile, filepath.Join(o.ProfileDir, string(o.Role)))
		if err != nil {
			return err
		}
		defer stop()
	}
	say := func(l line) error { return json.NewEncoder(out).Encode(l) }
	switch o.Role {
	case roleTarget:
		return serve(ctx, &o, in, say)
	case roleLoad:
		return load(ctx, &o, say)
	case roleReceiver, roleSender, roleEcho, rolePinger:
		bare.Solo()
		return measureBare(&o, say)
	}
	return fmt.Errorf("disk: no role %q", o.Role)
}

// serve is the target process. It answers each line of input with what it has used.
func serve(ctx context.Context, o *order, in io.Reader, say func(line) error) (err error) {
	mem, err := blockdev.NewMemory(o.Size, blockSize)
	if err != nil {
		return err
	}
	if err = written(ctx, mem); err != nil {
		return err
	}
	s, err := target.New(target.Config{Spin: o.Spin})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err = s.AddSubsystem(target.Subsystem{
		SubsystemConfig: core.SubsystemConfig{NQN: subNQN, AnyHost: true},
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: mem}},
	}); err != nil {
		return err
	}
	_, addr, err := s.Listen(ctx, "127.0.0.1:0", "")
	if err != nil {
		return err
	}
	if err = say(line{Addr: addr.String()}); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		u := usage()
		if err = say(line{Usage: &u}); err != nil {
			return err
		}
	}
	return nil
}

// written writes all of a device, so that its memory is there.
func written(ctx context.Context, dev blockdev.Device) error {
	w, err := blockdev.NewIO(ctx, dev)
	if err != nil {
		return err
	}
	chunk := make([]byte, largeBytes)
	for i := range chunk {
		chunk[i] = byte(i)
	}
	for at := int64(0); at < w.Size() && err == nil; at += int64(len(chunk)) {
		_, err = w.WriteAt(chunk, at)
	}
	return errors.Join(err, w.Close())
}

// usage gives what this process has used.
func usage() Usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return Usage{CPU: perf.CPUTime().Seconds(), Allocs: m.Mallocs}
}

// load is a load process: it keeps one ring busy.
func load(ctx context.Context, o *order, say func(line) error) (err error) {
	var dev blockdev.Device
	round := Round{Histogram: perf.NewHistogram()}
	if o.Job.Path == PathFile {
		d, err := uring.Open(uring.Config{Path: o.File})
		if err != nil {
			return err
		}
		if why := d.Fallback(); why != nil {
			round.FellBack = why.Error()
		}
		dev = d
	} else if dev, err = host.Open(ctx, host.Config{Addr: o.Addr, SubNQN: subNQN, Queues: 2}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	p, err := newPump(ctx, dev, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.ring.Close()) }()
	if err = p.run(ctx, o.Duration/8, perf.NewHistogram()); err != nil {
		return err
	}
	if err = say(line{Begun: true}); err != nil {
		return err
	}
	before, begin := usage(), time.Now()
	if err = p.run(ctx, o.Duration, round.Histogram); err != nil {
		return err
	}
	round.Seconds, round.Host = time.Since(begin).Seconds(), usage().since(before)
	round.Requests = round.Histogram.Count()
	round.P50, round.P99 = round.Histogram.QuantileUS(0.5), round.Histogram.QuantileUS(0.99)
	return say(line{Round: &round})
}
