package disk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/lockify-dlm/lockify/perf/proc"
)

// Options shape a measurement.
type Options struct {
	Worker     []string      // command that runs Work with one more argument
	Jobs       []Job         // what is measured; nil: Jobs()
	Rounds     int           // 1 at least
	Duration   time.Duration // of one measurement
	Spin       time.Duration // how long the ends of a spinning job look for work
	Size       int64         // bytes of the namespace and of the file
	Dir        string        // where the file is; "": the system's directory for such
	Profile    string        // kind of profile that the two ends write; "": none
	ProfileDir string        // where each of them has a folder for it
	Progress   func(string)
}

// Sizes and depths of the jobs.
const (
	smallBytes = 4 << 10
	largeBytes = 128 << 10
	largeDepth = 32
)

// Jobs gives all that is worth a measurement, the limits included.
func Jobs() (jobs []Job) {
	jobs = append(jobs, Job{PathStream, "write", largeBytes, 1, false}, Job{PathStream, "read", largeBytes, largeDepth, false},
		Job{PathPing, "read", smallBytes, 1, false}, Job{PathPing, "write", smallBytes, 1, false})
	for _, path := range []string{PathNVMe, PathFile} {
		for _, spin := range []bool{true, false} {
			for _, op := range []string{"read", "write"} {
				for _, depth := range []int{1, 32, 128} {
					jobs = append(jobs, Job{path, op, smallBytes, depth, spin})
				}
				jobs = append(jobs, Job{path, op, largeBytes, largeDepth, spin})
			}
			if path == PathFile {
				break // its requests end in Submit, or where nobody can look for them
			}
		}
	}
	return jobs
}

func (o *Options) validate() error {
	switch {
	case len(o.Worker) == 0:
		return errors.New("disk: no command for workers")
	case o.Rounds < 1 || o.Duration < 10*time.Millisecond || o.Spin < 0:
		return fmt.Errorf("disk: %d rounds of %v, spinning for %v: want 1 at least, 10ms at least, no less than 0", o.Rounds, o.Duration, o.Spin)
	case o.Size < 1<<20 || o.Size%largeBytes != 0:
		return fmt.Errorf("disk: %d bytes of namespace: want 1 MiB at least, a multiple of 128 KiB", o.Size)
	}
	if o.Jobs == nil {
		o.Jobs = Jobs()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return nil
}

// Measure does all jobs, round after round.
func Measure(ctx context.Context, o Options) (*Report, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(o.Dir, "lockbench-disk-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "file")
	if err := fill(file, o.Size); err != nil {
		return nil, err
	}
	rounds := make([][]Round, len(o.Jobs))
	for n := range o.Rounds {
		for i, j := range o.Jobs {
			o.Progress(fmt.Sprintf("round %d of %d: %s %s %d bytes, depth %d, spin %v", n+1, o.Rounds, j.Path, j.Op, j.Bytes, j.Depth, j.Spin))
			r, err := o.measure(ctx, j, file)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", j.Path, j.Op, err)
			}
			rounds[i] = append(rounds[i], *r)
		}
	}
	rep := &Report{Cores: runtime.NumCPU(), Rounds: o.Rounds}
	for i, j := range o.Jobs {
		rep.Cases = append(rep.Cases, newCase(j, rounds[i]))
	}
	rep.Ratios = ratios(rep.Cases)
	return rep, nil
}

// fill makes a file without holes.
func fill(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	chunk := make([]byte, largeBytes)
	for i := range chunk {
		chunk[i] = byte(i)
	}
	for ; size > 0; size -= int64(len(chunk)) {
		if _, err := f.Write(chunk); err != nil {
			return err
		}
	}
	return f.Sync()
}

// measure does one job once, with processes of its own.
func (o *Options) measure(ctx context.Context, j Job, file string) (*Round, error) {
	work := order{Job: j, File: file, Size: o.Size, Duration: o.Duration, Spin: o.Spin, Profile: o.Profile, ProfileDir: o.ProfileDir}
	first, second := roleTarget, roleLoad
	switch j.Path {
	case PathStream:
		first, second = roleReceiver, roleSender
	case PathPing:
		first, second = roleEcho, rolePinger
	case PathFile:
		work.Role = roleLoad
		w, err := o.start(ctx, work)
		if err != nil {
			return nil, err
		}
		defer w.stop()
		return w.round()
	}
	work.Role = first
	if !j.Spin {
		work.Spin = 0
	}
	server, err := o.start(ctx, work)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	l, err := server.next()
	if err != nil {
		return nil, err
	}
	work.Role, work.Addr, work.Spin = second, l.Addr, o.Spin
	client, err := o.start(ctx, work)
	if err != nil {
		return nil, err
	}
	defer client.stop()
	switch j.Path {
	case PathStream:
		return both(server, client)
	case PathPing:
		return both(client, server)
	}
	return withTarget(client, server)
}

// both gives what one worker has measured, and what the other one has used.
func both(measures, other *worker) (*Round, error) {
	r, err := measures.round()
	if err != nil {
		return nil, err
	}
	l, err := other.next()
	if err == nil && l.Usage != nil {
		r.Target = *l.Usage
	}
	return r, err
}

// withTarget gives what a load has measured, and what the target has used meanwhile.
func withTarget(load, target *worker) (*Round, error) {
	if _, err := load.next(); err != nil { // it begins
		return nil, err
	}
	before, err := target.usage()
	if err != nil {
		return nil, err
	}
	r, err := load.round()
	if err != nil {
		return nil, err
	}
	after, err := target.usage()
	r.Target = after.since(before)
	return r, err
}

// worker is a worker process.
type worker struct {
	ctx context.Context
	p   *proc.Process
	out chan line
}

func (o *Options) start(ctx context.Context, work order) (*worker, error) {
	arg, err := json.Marshal(work)
	if err != nil {
		return nil, err
	}
	w := &worker{ctx: ctx, out: make(chan line, 4)} // a worker says no more
	read := func(r io.Reader) {
		defer close(w.out)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var l line
			if json.Unmarshal(lines.Bytes(), &l) != nil {
				return
			}
			select {
			case w.out <- l:
			case <-ctx.Done():
				return
			}
		}
	}
	w.p, err = proc.Start(work.Role, read, o.Worker[0], append(o.Worker[1:len(o.Worker):len(o.Worker)], string(arg))...)
	return w, err
}

// next gives what the worker says next.
func (w *worker) next() (line, error) {
	select {
	case l, ok := <-w.out:
		if ok {
			return l, nil
		}
	case <-w.ctx.Done():
		return line{}, w.ctx.Err()
	}
	<-w.p.Ended
	return line{}, w.p.Failure()
}

// round gives what it has measured.
func (w *worker) round() (*Round, error) {
	for {
		l, err := w.next()
		if err != nil {
			return nil, err
		}
		if l.Round != nil {
			return l.Round, nil
		}
	}
}

// usage asks a target.
func (w *worker) usage() (Usage, error) {
	if _, err := io.WriteString(w.p.Stdin, "usage\n"); err != nil {
		return Usage{}, err
	}
	l, err := w.next()
	if err != nil || l.Usage == nil {
		return Usage{}, errors.Join(err, errors.New("disk: the target does not say what it has used"))
	}
	return *l.Usage, nil
}

const grace = 5 * time.Second

func (w *worker) stop() { w.p.Stop(grace) }
