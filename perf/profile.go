package perf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/trace"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pkg/profile"
)

// Errors of StartProfile.
var (
	ErrProfileKind = errors.New("perf: unknown kind of profile")
	ErrProfiling   = errors.New("perf: a profile is being taken already")
)

type profileKind struct {
	name string
	file string // what pkg/profile calls it
	mode func(*profile.Profile)
}

var profileKinds = []profileKind{
	{"cpu", "cpu.pprof", profile.CPUProfile},
	{"mem", "mem.pprof", profile.MemProfile},
	{"mutex", "mutex.pprof", profile.MutexProfile},
	{"block", "block.pprof", profile.BlockProfile},
	{"trace", "trace.out", profile.TraceProfile},
	{"goroutine", "goroutine.pprof", profile.GoroutineProfile},
}

// ProfileKinds lists what StartProfile takes.
func ProfileKinds() []string {
	names := make([]string, len(profileKinds))
	for i, k := range profileKinds {
		names[i] = k.name
	}
	return names
}

// profiling is set while a profile is being taken: the process has one at most.
var profiling atomic.Bool

// StartProfile takes a profile of the process until stop is called, which
// writes it to a file in dir (cpu.pprof, mem.pprof, ..., trace.out). dir is
// made if it is missing. stop may be called more than once. No signal is
// caught: a caller that can be interrupted calls stop on its way out.
//
// Errors: ErrProfileKind, ErrProfiling, or what the file system says.
func StartProfile(kind, dir string) (stop func(), err error) {
	for _, k := range profileKinds {
		if k.name == kind {
			return k.start(dir)
		}
	}
	return nil, fmt.Errorf("%w %q; there are %s", ErrProfileKind, kind, strings.Join(ProfileKinds(), ", "))
}

func (k profileKind) start(dir string) (func(), error) {
	if !profiling.CompareAndSwap(false, true) {
		return nil, ErrProfiling
	}
	// pkg/profile ends the process where it can't write or trace: find out
	// before it does.
	if err := k.check(dir); err != nil {
		profiling.Store(false)
		return nil, err
	}
	p := profile.Start(k.mode, profile.ProfilePath(dir), profile.NoShutdownHook, profile.Quiet)
	return sync.OnceFunc(func() {
		p.Stop()
		profiling.Store(false)
	}), nil
}

func (k profileKind) check(dir string) error {
	if dir == "" {
		return errors.New("perf: no directory for the profile")
	}
	if k.name == "trace" && trace.IsEnabled() {
		return fmt.Errorf("%w: an execution trace", ErrProfiling)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("perf: profile directory: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, k.file))
	if err != nil {
		return fmt.Errorf("perf: profile: %w", err)
	}
	return f.Close()
}
