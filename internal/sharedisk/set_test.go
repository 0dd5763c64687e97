package sharedisk_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/internal/sharedisk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	nqn      = "nqn.2026-01.example.lockify:shared"
	patience = 30 * time.Second
)

// serve starts a target with the shared disk at addr, whose reservations are kept in dir.
func serve(t *testing.T, addr, dir string) (s *target.Server, at string) {
	t.Helper()
	mem, err := blockdev.NewMemory(1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = target.New(target.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err = s.AddSubsystem(target.Subsystem{
		SubsystemConfig: core.SubsystemConfig{NQN: nqn, AnyHost: true},
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: mem}}, State: dir,
	}); err != nil {
		t.Fatal(err)
	}
	_, a, err := s.Listen(t.Context(), addr, "")
	if err != nil {
		t.Fatal(err)
	}
	return s, a.String()
}

func newSet(t *testing.T, addr string) *sharedisk.Set {
	s := sharedisk.New([]sharedisk.Disk{{Addr: addr, NQN: nqn}}, slog.New(slog.DiscardHandler))
	t.Cleanup(s.Close)
	return s
}

// program is a program of an instance: it has a ring to the disk.
type program struct {
	t    *testing.T
	ring *blockdev.Ring
}

func newProgram(t *testing.T, addr string, instance uint64) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d, err := host.Open(ctx, host.Config{Addr: addr, SubNQN: nqn, HostID: cluster.HostID(instance)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	p := &program{t: t}
	if p.ring, err = d.NewRing(ctx, blockdev.RingConfig{Depth: 1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.ring.Close() })
	return p
}

func (p *program) writes(want blockdev.Status) {
	p.t.Helper()
	p.ring.GetSQE().PrepWrite(0, make([]byte, 512))
	p.ring.Submit()
	if err := p.ring.Wait(p.t.Context(), 1); err != nil {
		p.t.Fatal(err)
	}
	if c, _ := p.ring.Peek(); c.Status != want {
		p.t.Fatalf("a write ends with %v, not %v", c.Status, want)
	}
}

func mustRegister(t *testing.T, s *sharedisk.Set, instance uint64, gone func(error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Register(ctx, instance, gone); err != nil {
		t.Fatal(err)
	}
}

const (
	one      = 1<<16 | 1
	two      = 1<<16 | 2
	twoAgain = 2<<16 | 2
)

// TestBar: who is barred writes no more, hears of it, and what its programs have opened
// stays barred when it registers anew.
func TestBar(t *testing.T) {
	_, addr := serve(t, "127.0.0.1:0", t.TempDir())
	a, b := newSet(t, addr), newSet(t, addr)
	gone := make(chan error, 2)
	stranger := newProgram(t, addr, 9<<16|9)
	stranger.writes(blockdev.OK)
	mustRegister(t, a, one, func(err error) { t.Errorf("node 1: %v", err) })
	mustRegister(t, b, two, func(err error) { gone <- err })
	stranger.writes(blockdev.StatusReservation)
	first, second := newProgram(t, addr, one), newProgram(t, addr, two)
	first.writes(blockdev.OK)
	second.writes(blockdev.OK)

	if err := a.Bar(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	second.writes(blockdev.StatusReservation)
	first.writes(blockdev.OK)
	if err := <-gone; !strings.Contains(err.Error(), addr) {
		t.Fatalf("node 2 hears %q", err)
	}
	if err := a.Bar(t.Context(), two); err != nil {
		t.Fatalf("barred again: %v", err)
	}
	if err := b.Bar(t.Context(), one); err == nil {
		t.Fatal("one that is barred bars others")
	}

	mustRegister(t, b, twoAgain, nil)
	second.writes(blockdev.StatusReservation)
	newProgram(t, addr, twoAgain).writes(blockdev.OK)
	if err := b.Unregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	second.writes(blockdev.StatusReservation)
	if err := a.Bar(t.Context(), twoAgain); err != nil {
		t.Fatalf("one that has left: %v", err)
	}
	if len(gone) > 0 {
		t.Fatal("told twice")
	}
}

// TestSweep: a start of a node ends what earlier ones have left, of its own only.
func TestSweep(t *testing.T) {
	_, addr := serve(t, "127.0.0.1:0", "")
	a, b, c := newSet(t, addr), newSet(t, addr), newSet(t, addr)
	mustRegister(t, a, one, nil)
	mustRegister(t, b, two, nil)
	old, other := newProgram(t, addr, two), newProgram(t, addr, one)
	old.writes(blockdev.OK)
	mustRegister(t, c, twoAgain, nil)
	old.writes(blockdev.StatusReservation)
	other.writes(blockdev.OK)
}

// TestTargetAway: Register waits for the target; a bar fails without it, and holds when
// it is back.
func TestTargetAway(t *testing.T) {
	dir := t.TempDir()
	s, addr := serve(t, daemontest.FreeAddrs(t, 1)[0], dir) // which stays free while the target is away
	a, b := newSet(t, addr), newSet(t, addr)
	mustRegister(t, a, one, nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	registered := make(chan error)
	go func() { registered <- b.Register(t.Context(), two, nil) }()
	brief, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := a.Bar(brief, two); err == nil {
		t.Fatal("barred without the disk")
	}
	serve(t, addr, dir)
	if err := <-registered; err != nil {
		t.Fatal(err)
	}
	if err := a.Bar(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	newProgram(t, addr, two).writes(blockdev.StatusReservation)
}

// TestForgotten: a target that has lost the reservation is noticed by those who were
// registered, and nobody is taken for barred.
func TestForgotten(t *testing.T) {
	s, addr := serve(t, daemontest.FreeAddrs(t, 1)[0], "")
	a := newSet(t, addr)
	gone := make(chan error, 1)
	mustRegister(t, a, one, func(err error) { gone <- err })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	serve(t, addr, "")
	if err := <-gone; err == nil {
		t.Fatal("no reason")
	}
	if err := a.Bar(t.Context(), two); err == nil {
		t.Fatal("barred without a reservation")
	}
}

// TestOtherType: a disk that somebody else has reserved is not shared.
func TestOtherType(t *testing.T) {
	_, addr := serve(t, "127.0.0.1:0", "")
	d, err := host.Open(t.Context(), host.Config{Addr: addr, SubNQN: nqn})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = errors.Join(
		d.Reserve(t.Context(), nvme.OpReservationRegister, nvme.Reservation{}, nvme.ReservationKeys{Other: 5}),
		d.Reserve(t.Context(), nvme.OpReservationAcquire, nvme.Reservation{Type: nvme.WriteExclusive}, nvme.ReservationKeys{Current: 5}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	log := &notice{text: "no registration", f: cancel} // it goes on trying
	set := sharedisk.New([]sharedisk.Disk{{Addr: addr, NQN: nqn}}, slog.New(slog.NewTextHandler(log, nil)))
	defer set.Close()
	if err := set.Register(ctx, one, nil); err == nil || !strings.Contains(err.Error(), `another type, "write exclusive"`) {
		t.Fatal(err)
	}
}

// notice is a log that does something when it gets a line with a text in it.
type notice struct {
	text string
	f    func()
}

func (n *notice) Write(line []byte) (int, error) {
	if strings.Contains(string(line), n.text) {
		n.f()
	}
	return len(line), nil
}
