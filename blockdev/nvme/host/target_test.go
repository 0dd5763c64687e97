package host_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

const subNQN = "nqn.2025-01.test.lockify:disk"

// serve starts this repository's own target with a device in memory.
func serve(t testing.TB, size int64, spin time.Duration) string {
	t.Helper()
	mem, err := blockdev.NewMemory(size, 512)
	if err != nil {
		t.Fatal(err)
	}
	return serveDevice(t, mem, spin)
}

// serveDevice starts this repository's own target with a device.
func serveDevice(t testing.TB, dev blockdev.Device, spin time.Duration) string {
	t.Helper()
	s, err := target.New(target.Config{Spin: spin})
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
	_, addr, err := s.Listen(context.Background(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

func open(t testing.TB, cfg host.Config) *host.Device {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cfg.SubNQN = subNQN
	d, err := host.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestTargetConformance(t *testing.T) {
	for name, digests := range map[string]bool{"plain": false, "digests": true} {
		t.Run(name, func(t *testing.T) {
			devtest.Run(t, func(t *testing.T) blockdev.Device {
				return open(t, host.Config{Addr: serve(t, devtest.MinSize, 0), HeaderDigest: digests, DataDigest: digests, Queues: 1024})
			})
		})
	}
}

func TestDiscover(t *testing.T) {
	addr := serve(t, 1<<20, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	entries, err := host.Discover(ctx, host.Config{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range entries {
		if e.TREQ&3 != nvme.SecureNotSpecified { // nvme connect-all would want TLS
			t.Errorf("%s: TREQ is %d", e.SubNQN, e.TREQ)
		}
		found = found || e.Subsystem == nvme.SubsystemNVM && e.SubNQN == subNQN && e.Address+":"+e.Service == addr
	}
	if !found {
		t.Fatalf("%+v", entries)
	}
}

func BenchmarkTarget(b *testing.B) {
	for _, bc := range []struct {
		name        string
		op          blockdev.Op
		size, depth int
		spin        time.Duration
	}{
		{"read 4K depth 1", blockdev.Read, 4096, 1, 0},
		{"read 4K depth 1 spin", blockdev.Read, 4096, 1, 100 * time.Microsecond},
		{"read 4K depth 128", blockdev.Read, 4096, 128, 0},
		{"write 4K depth 128", blockdev.Write, 4096, 128, 0},
		{"read 128K depth 32", blockdev.Read, 128 << 10, 32, 0},
		{"write 128K depth 32", blockdev.Write, 128 << 10, 32, 0},
	} {
		b.Run(bc.name, func(b *testing.B) {
			d := open(b, host.Config{Addr: serve(b, 64<<20, bc.spin)})
			r, err := d.NewRing(context.Background(), blockdev.RingConfig{Depth: bc.depth, Spin: bc.spin})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			pump(b, r, bc.op, bc.size, b.N)
		})
	}
}

// pump does n requests with the ring as full as it can be.
func pump(b testing.TB, r *blockdev.Ring, op blockdev.Op, size, n int) {
	buf := make([]byte, size*r.Depth())
	if bb, ok := b.(*testing.B); ok {
		bb.SetBytes(int64(size))
		bb.ReportAllocs()
		bb.ResetTimer()
	}
	free := make([]uint64, r.Depth())
	for i := range free {
		free[i] = uint64(i)
	}
	blocks := r.Info().Size / int64(size)
	for sent, done := 0, 0; done < n; {
		for len(free) > 0 && sent < n {
			i := free[len(free)-1]
			free = free[:len(free)-1]
			s := r.GetSQE()
			s.Op, s.Offset, s.Buf, s.UserData = op, int64(sent)*7919%blocks*int64(size), buf[int(i)*size:][:size], i
			sent++
		}
		r.Submit()
		if err := r.Wait(context.Background(), 1); err != nil {
			b.Fatal(err)
		}
		for c, ok := r.Peek(); ok; c, ok = r.Peek() {
			if c.Status != blockdev.OK {
				b.Fatal(c.Status)
			}
			free = append(free, c.UserData)
			done++
		}
	}
}

// In the steady state nothing is allocated for a request. The target's goroutines count,
// too; what they do now and then is less than one allocation in a hundred requests.
func TestAllocations(t *testing.T) {
	d := open(t, host.Config{Addr: serve(t, 64<<20, 0)})
	ring, err := d.NewRing(context.Background(), blockdev.RingConfig{Depth: 32})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	for _, op := range []blockdev.Op{blockdev.Read, blockdev.Write} {
		for _, size := range []int{4096, 128 << 10} {
			const n = 400
			pump(t, ring, op, size, n)
			per := testing.AllocsPerRun(5, func() { pump(t, ring, op, size, n) })
			if per > n/100+2 { // pump itself makes two slices
				t.Errorf("%v of %d bytes: %.1f allocations for %d requests", op, size, per, n)
			}
		}
	}
}

// BenchmarkLimit is what the machine can do without NVMe: a bare TCP stream in pieces
// of 128 KiB, and a bare ping-pong of a command and 4 KiB.
func BenchmarkLimit(b *testing.B) {
	b.Run("stream 128K", func(b *testing.B) {
		here, there := pipe(b)
		b.SetBytes(128 << 10)
		go func() {
			for buf := make([]byte, 128<<10); ; {
				if _, err := there.Write(buf); err != nil {
					return
				}
			}
		}()
		buf := make([]byte, 128<<10)
		for b.Loop() {
			if _, err := io.ReadFull(here, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ping-pong", func(b *testing.B) {
		here, there := pipe(b)
		go func() {
			ask, answer := make([]byte, 72), make([]byte, 24+4096)
			for {
				if _, err := io.ReadFull(there, ask); err != nil {
					return
				}
				there.Write(answer)
			}
		}()
		ask, answer := make([]byte, 72), make([]byte, 24+4096)
		for b.Loop() {
			here.Write(ask)
			if _, err := io.ReadFull(here, answer); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// pipe gives the two ends of a TCP connection.
func pipe(b *testing.B) (net.Conn, net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	here, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	there, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { here.Close(); there.Close() })
	return here, there
}
