package host_test

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
)

// The target sends large reads from the memory of a device, and receives large writes to
// there. Nobody may see a request that is half done.

const directBytes = 256 << 10

func directRing(t *testing.T, d *host.Device, depth int) *blockdev.Ring {
	t.Helper()
	r, err := d.NewRing(context.Background(), blockdev.RingConfig{Depth: depth})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// finish waits for all requests of a ring, and looks at what was read.
func finish(t *testing.T, r *blockdev.Ring, bufs [][]byte) {
	for r.Pending() > 0 {
		if err := r.Wait(t.Context(), r.Pending()); err != nil {
			t.Error(err)
			return
		}
	}
	for c, ok := r.Peek(); ok; c, ok = r.Peek() {
		if c.Status != blockdev.OK {
			t.Errorf("request %d: %v", c.UserData, c.Status)
		}
		if b := bufs[c.UserData]; !bytes.Equal(b, bytes.Repeat(b[:1], len(b))) {
			t.Errorf("request %d: the data is of several writes", c.UserData)
		}
	}
}

// TestSlowReader: what a host has asked for and does not take is what was there when its
// read was done, whatever is written afterwards.
func TestSlowReader(t *testing.T) {
	for _, digests := range []bool{false, true} {
		d := open(t, host.Config{Addr: serve(t, 1<<20, 0), Queues: 2, DataDigest: digests})
		const depth = 64 // 16 MiB: much more than a socket takes
		slow, quick := directRing(t, d, depth), directRing(t, d, 1)
		bufs := make([][]byte, depth)
		for i := range bufs {
			bufs[i] = make([]byte, directBytes)
			s := slow.GetSQE()
			s.PrepRead(int64(i%4*directBytes), bufs[i])
			s.UserData = uint64(i)
		}
		slow.Submit()
		for n := range 40 {
			one := bytes.Repeat([]byte{byte(n + 1)}, directBytes)
			quick.GetSQE().PrepWrite(int64(n%4*directBytes), one)
			quick.Submit()
			finish(t, quick, [][]byte{one})
		}
		finish(t, slow, bufs)
	}
}

// lender counts what is borrowed of it.
type lender struct {
	*blockdev.Memory
	reads, writes atomic.Int64
}

func (l *lender) Borrow(off int64, n int, write bool) []byte {
	if write {
		l.writes.Add(1)
	} else {
		l.reads.Add(1)
	}
	return l.Memory.Borrow(off, n, write)
}

// TestOneStep: reads and writes of the same place do not mix. It goes on until there was
// a write whose data had come as a whole when it was looked for.
func TestOneStep(t *testing.T) {
	const depth = 16
	mem, err := blockdev.NewMemory(1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	dev := &lender{Memory: mem}
	d := open(t, host.Config{Addr: serveDevice(t, dev, 0), Queues: 2})
	reads, writes := directRing(t, d, depth), directRing(t, d, depth)
	got, want := make([][]byte, depth), make([][]byte, depth)
	for i := range got {
		got[i], want[i] = make([]byte, directBytes), bytes.Repeat([]byte{byte(i + 1)}, directBytes)
	}
	for n := 0; n < 20 || dev.reads.Load() == 0 || dev.writes.Load() == 0; n++ {
		for i := range depth {
			s := writes.GetSQE()
			s.PrepWrite(0, want[i])
			s.UserData = uint64(i)
			s = reads.GetSQE()
			s.PrepRead(0, got[i])
			s.UserData = uint64(i)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			writes.Submit()
			finish(t, writes, want)
		}()
		reads.Submit()
		finish(t, reads, got)
		<-done
	}
}
