package host_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

// twoPaths starts a target with two ports, and gives them and their addresses.
func twoPaths(t *testing.T, size int64) (s *target.Server, ports [2]*core.Port, addrs [2]string) {
	t.Helper()
	mem, err := blockdev.NewMemory(size, 512)
	if err != nil {
		t.Fatal(err)
	}
	return twoPathsTo(t, mem)
}

// twoPathsTo is twoPaths with a device of the test's.
func twoPathsTo(t *testing.T, dev blockdev.Device) (s *target.Server, ports [2]*core.Port, addrs [2]string) {
	t.Helper()
	s, err := target.New(target.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err = s.AddSubsystem(target.Subsystem{
		SubsystemConfig: core.SubsystemConfig{NQN: subNQN, AnyHost: true},
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: dev}},
	}); err != nil {
		t.Fatal(err)
	}
	for i := range ports {
		port, addr, err := s.Listen(context.Background(), "127.0.0.1:0", "")
		if err != nil {
			t.Fatal(err)
		}
		ports[i], addrs[i] = port, addr.String()
	}
	return s, ports, addrs
}

func openPaths(t *testing.T, addrs ...string) *host.Paths {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var paths []host.Config
	for _, a := range addrs {
		paths = append(paths, host.Config{Addr: a, SubNQN: subNQN})
	}
	p, err := host.OpenPaths(ctx, paths...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPathsConformance(t *testing.T) {
	devtest.Run(t, func(t *testing.T) blockdev.Device {
		_, _, addrs := twoPaths(t, devtest.MinSize)
		return openPaths(t, addrs[0], addrs[1])
	})
}

// When a path's group is inaccessible the other one is used, for writes, too; when both
// are, requests wait.
func TestANA(t *testing.T) {
	s, ports, addrs := twoPaths(t, 1<<20)
	p := openPaths(t, addrs[0], addrs[1])
	ring, err := p.NewRing(context.Background(), blockdev.RingConfig{Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	buf := bytes.Repeat([]byte{1}, 512)
	step := func(what string, states ...nvme.ANAState) {
		t.Helper()
		for i, st := range states {
			s.SetANA(ports[i], 1, st)
		}
		for range 20 {
			ring.GetSQE().PrepWrite(0, buf)
			ring.Submit()
			if err := ring.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if c, ok := ring.Peek(); !ok || c.Status != blockdev.OK {
				t.Fatalf("%s: %v", what, c.Status)
			}
		}
	}
	step("both paths", nvme.ANAOptimized, nvme.ANAOptimized)
	step("the first inaccessible", nvme.ANAInaccessible, nvme.ANAOptimized)
	step("only the first, not optimized", nvme.ANANonOptimized, nvme.ANAInaccessible)
	s.SetANA(ports[0], 1, nvme.ANAInaccessible)
	ring.GetSQE().PrepWrite(0, buf)
	ring.Submit()
	if _, ok := ring.Peek(); ok {
		t.Fatal("a write over paths that are inaccessible")
	}
	s.SetANA(ports[1], 1, nvme.ANAOptimized)
	if err := ring.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if c, _ := ring.Peek(); c.Status != blockdev.OK {
		t.Fatal(c.Status)
	}
}

// A ring whose requests no path takes now is told to look again, once for each time that this was
// asked for last, and not after its end.
func TestArmWithoutPath(t *testing.T) {
	s, ports, addrs := twoPaths(t, 1<<20)
	s.SetANA(ports[0], 1, nvme.ANAInaccessible)
	p := openPaths(t, addrs[0])
	told := make(chan struct{}, 1000)
	ring, err := p.NewRing(context.Background(), blockdev.RingConfig{Depth: 4, Notify: func() { told <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	ring.GetSQE().PrepRead(0, make([]byte, 4096))
	ring.Submit()
	for range 100 {
		ring.Arm()
	}
	<-told
	ring.Arm()
	<-told
	if n := len(told); n > 10 {
		t.Errorf("told %d times more", n)
	}
	ring.Arm()
	ring.Close()
	for len(told) > 0 {
		<-told
	}
	select {
	case <-told:
		t.Error("told after its end")
	case <-time.After(300 * time.Millisecond):
	}
}

// When a path breaks, reads go over the other one at once.
func TestPathBreaks(t *testing.T) {
	_, _, addrs := twoPaths(t, 1<<20)
	c := newCutter(t, addrs[0])
	p := openPaths(t, c.ln.Addr().String(), addrs[1])
	ring, err := p.NewRing(context.Background(), blockdev.RingConfig{Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	c.after.Store(1) // whatever comes is cut, and so is each new connection
	c.ln.Close()
	for range 50 {
		ring.GetSQE().PrepRead(0, make([]byte, 4096))
		ring.Submit()
		if err := ring.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if c, _ := ring.Peek(); c.Status != blockdev.OK {
			t.Fatal(c.Status)
		}
	}
	if c.cuts.Load() == 0 {
		t.Fatal("nothing was cut")
	}
}

// What a target does not know the outcome of is done again over another path only if it may be done
// twice; else, or if there is no other path, the host does not know it either.
func TestLostInTheTarget(t *testing.T) {
	mem, err := blockdev.NewMemory(1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	f, err := blockdev.NewFault(t.Context(), mem, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	_, _, addrs := twoPathsTo(t, f)
	for _, tc := range []struct {
		name        string
		dev         blockdev.Device
		write, read blockdev.Status
	}{
		{"two paths", openPaths(t, addrs[0], addrs[1]), blockdev.StatusLost, blockdev.OK},
		{"one path", open(t, host.Config{Addr: addrs[0]}), blockdev.StatusLost, blockdev.StatusLost},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ring, err := tc.dev.NewRing(t.Context(), blockdev.RingConfig{Depth: 4})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { ring.Close() })
			f.Set(blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, Times: 1, Torn: 512, Status: blockdev.StatusLost},
				blockdev.Rule{Ops: []blockdev.Op{blockdev.Read}, Times: 1, Status: blockdev.StatusLost})
			mustEnd(t, ring, tc.write, func(s *blockdev.SQE) { s.PrepWrite(0, make([]byte, 1024)) })
			mustEnd(t, ring, tc.read, func(s *blockdev.SQE) { s.PrepRead(0, make([]byte, 1024)) })
		})
	}
}

// mustEnd does a request, which shall end with that status.
func mustEnd(t *testing.T, ring *blockdev.Ring, want blockdev.Status, prep func(*blockdev.SQE)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	prep(ring.GetSQE())
	if _, err := ring.Submit(); err != nil {
		t.Error(err)
	}
	if err := ring.Wait(ctx, 1); err != nil {
		t.Error(err)
	}
	if c, _ := ring.Peek(); c.Status != want {
		t.Errorf("%v, want %v", c.Status, want)
	}
}
