package sharedisk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Set is the shared disks of a node. Its methods may be called by several goroutines.
type Set struct {
	disks []Disk
	log   *slog.Logger
	looks chan struct{} // somebody shall look at the registrations
	quit  chan struct{}
	wg    sync.WaitGroup

	mu   sync.Mutex
	regs []*registration // of the present instance; empty: none, or not all of them
	gone func(error)
}

// New makes a set that is registered nowhere yet.
func New(disks []Disk, log *slog.Logger) *Set {
	s := &Set{disks: disks, log: log, looks: make(chan struct{}, 1), quit: make(chan struct{})}
	s.wg.Go(s.watch)
	return s
}

// attemptTime bounds what is done at all disks once.
const attemptTime = 5 * time.Second

// again is the pause before what has failed is tried again.
const again = time.Second

// Register registers an instance at all disks, trying until that has succeeded or ctx ends.
// The instance before has no more say; its registrations stay until they are barred. gone
// is called, once at most, when a registration is found gone.
func (s *Set) Register(ctx context.Context, instance uint64, gone func(error)) error {
	s.drop()
	var last error
	for {
		err := s.registerOnce(ctx, instance, gone)
		if err == nil {
			s.log.Info("registered at the shared disks", "disks", len(s.disks), "key", fmt.Sprintf("%#x", instance))
			return nil
		}
		if last != nil && ctx.Err() != nil {
			return errors.Join(last, context.Cause(ctx)) // the attempt that was cut off tells less
		}
		last = err
		s.log.Error("no registration at the shared disks, without which the node does not join; trying again", "err", err)
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(again):
		}
	}
}

func (s *Set) registerOnce(ctx context.Context, instance uint64, gone func(error)) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var regs []*registration
	for i := range s.disks {
		r, err := register(ctx, &s.disks[i], instance, s.look, s.log)
		if err != nil {
			closeAll(regs)
			return fmt.Errorf("%v: %w", &s.disks[i], err)
		}
		regs = append(regs, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regs, s.gone = regs, gone
	s.look() // what was told before was of none that watch knew
	return nil
}

func closeAll(regs []*registration) {
	for _, r := range regs {
		_ = r.dev.Close() // the first Close gives no error
	}
}

// present gives the registrations in force.
func (s *Set) present() []*registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.regs
}

// drop forgets the present instance.
func (s *Set) drop() {
	s.mu.Lock()
	regs := s.regs
	s.regs, s.gone = nil, nil
	s.mu.Unlock()
	closeAll(regs)
}

// Bar keeps an instance from all disks, once, and returns nil if that has succeeded.
func (s *Set) Bar(ctx context.Context, instance uint64) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	regs := s.present()
	if len(regs) < len(s.disks) {
		return errors.New("this node is not registered at the shared disks itself now, so it can bar nobody")
	}
	for _, r := range regs {
		if r.key == instance {
			return errors.New("a node cannot bar itself")
		}
		if err := r.bar(ctx, instance); err != nil {
			return fmt.Errorf("%v: %w", r.disk, err)
		}
	}
	return nil
}

// Unregister takes the registrations of the present instance back: its programs write no
// more.
func (s *Set) Unregister(ctx context.Context) error {
	s.mu.Lock()
	s.gone = nil
	regs := s.regs
	s.mu.Unlock()
	var errs []error
	for _, r := range regs {
		if err := r.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%v: unregister key %#x: %w", r.disk, r.key, err))
		}
	}
	s.drop()
	return errors.Join(errs...)
}

// Close ends all connections. Registrations stay.
func (s *Set) Close() {
	close(s.quit)
	s.wg.Wait()
	s.drop()
}

// look has the watch look. It does not wait.
func (s *Set) look() {
	select {
	case s.looks <- struct{}{}:
	default:
	}
}

// watch looks whether the registrations are there, when it is told to, and again if it could not:
// nobody may tell it a second time.
func (s *Set) watch() {
	var later <-chan time.Time
	for {
		select {
		case <-s.quit:
			return
		case <-s.looks:
		case <-later:
		}
		tell := later == nil // once, not for each time
		later = nil
		for _, r := range s.present() {
			if !s.examine(r, tell) {
				later = time.After(again)
			}
		}
	}
}

// examine looks at one registration; false: it could not.
func (s *Set) examine(r *registration, tell bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), attemptTime)
	defer cancel()
	_, err := r.report(ctx)
	if err == nil || !slices.Contains(s.present(), r) {
		return true
	}
	if !errors.Is(err, errGone) {
		if tell {
			s.log.Warn("the registration at a shared disk could not be looked at; trying again", "disk", r.disk, "err", err)
		}
		return false
	}
	s.mu.Lock()
	gone := s.gone
	if !slices.Contains(s.regs, r) {
		gone = nil // it was that of an earlier start
	} else {
		s.gone = nil
	}
	s.mu.Unlock()
	if gone != nil {
		gone(fmt.Errorf("%v: %w", r.disk, err))
	}
	return true
}
