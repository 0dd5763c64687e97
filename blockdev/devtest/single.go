package devtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
)

// testLarge: the largest transfer, in one buffer and in many of odd lengths.
func testLarge(t *testing.T, dev blockdev.Device) {
	info := dev.Info()
	n := 1 << 20
	if info.MaxTransfer > 0 {
		n = min(n, info.MaxTransfer)
	}
	r := newRing(t, dev, blockdev.RingConfig{})
	want, got := blockdev.Alloc(n, 4096), blockdev.Alloc(n, 4096)
	fill(want, rand.New(rand.NewPCG(1, 1)))
	off := int64(info.BlockSize)
	must(t, r, blockdev.SQE{Op: blockdev.Write, Offset: off, Bufs: cut(want, info.BlockSize)})
	must(t, r, blockdev.SQE{Op: blockdev.Read, Offset: off, Buf: got})
	if !bytes.Equal(got, want) {
		t.Fatal("read something else than was written")
	}
	clear(got)
	must(t, r, blockdev.SQE{Op: blockdev.Write, Offset: off, Buf: want, Flags: blockdev.FUA})
	must(t, r, blockdev.SQE{Op: blockdev.Read, Offset: off, Bufs: cut(got, info.BlockSize)})
	if !bytes.Equal(got, want) {
		t.Fatal("read something else than was written, into many buffers")
	}
	if info.Features&blockdev.HasCompare != 0 {
		must(t, r, blockdev.SQE{Op: blockdev.Compare, Offset: off, Buf: want})
		got[n-1] ^= 1
		if c, err := one(r, blockdev.SQE{Op: blockdev.Compare, Offset: off, Buf: got}); err != nil || c.Status != blockdev.StatusCompareFailure {
			t.Fatalf("compare with a last byte that differs: %v %v", c.Status, err)
		}
	}
	if info.MaxTransfer > 0 {
		c, err := one(r, blockdev.SQE{Op: blockdev.Read, Buf: make([]byte, info.MaxTransfer+info.BlockSize)})
		if err != nil || c.Status != blockdev.StatusTooLong {
			t.Fatalf("more than the largest transfer: %v %v", c.Status, err)
		}
	}
}

// cut gives b in pieces of one, two, three ... blocks.
func cut(b []byte, bs int) (out [][]byte) {
	for n := bs; len(b) > 0; n += bs {
		n = min(n, len(b))
		out = append(out, b[:n:n])
		b = b[n:]
	}
	return out
}

func fill(b []byte, rng *rand.Rand) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

// testClose: a ring that is closed while it is busy gives each request an end.
func testClose(t *testing.T, dev blockdev.Device) {
	info := dev.Info()
	r := newRing(t, dev, blockdev.RingConfig{Depth: 32})
	for i := range 32 {
		s := r.GetSQE()
		s.PrepWrite(int64(i*info.BlockSize), blockdev.Alloc(info.BlockSize, 4096))
		if i%4 == 0 {
			s.Flags = blockdev.Link | blockdev.Drain
		}
	}
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for c, ok := r.Peek(); ok; c, ok = r.Peek() {
		if n++; c.Status != blockdev.OK && c.Status != blockdev.StatusClosed {
			t.Errorf("a request ended with %v", c.Status)
		}
	}
	if n != 32 || r.Pending() != 0 {
		t.Fatalf("%d requests have ended, %d are pending", n, r.Pending())
	}
	if _, err := r.Submit(); !errors.Is(err, blockdev.ErrClosed) {
		t.Fatalf("Submit: %v", err)
	}
	if err := r.Wait(context.Background(), 1); !errors.Is(err, blockdev.ErrClosed) {
		t.Fatalf("Wait: %v", err)
	}
	if r.GetSQE() != nil {
		t.Fatal("GetSQE gives a request of a closed ring")
	}
}

// testContext: Wait returns when there is nothing to wait for, and its context is not
// spent on what has ended.
func testContext(t *testing.T, dev blockdev.Device) {
	r := newRing(t, dev, blockdev.RingConfig{})
	if err := r.Wait(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	for range 3 {
		r.GetSQE().PrepFlush()
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(ctx, 5); err != nil { // more than there are
			t.Fatal(err)
		}
		if c, ok := r.Peek(); !ok || c.Status != blockdev.OK {
			t.Fatal(c.Status, ok)
		}
	}
	cancel()
	must(t, r, blockdev.SQE{Op: blockdev.Flush})
}

// testNotify: after Arm, one call tells of an end, be it before Arm or after.
func testNotify(t *testing.T, dev blockdev.Device) {
	calls := make(chan struct{}, 64)
	r := newRing(t, dev, blockdev.RingConfig{Notify: func() { calls <- struct{}{} }})
	buf := blockdev.Alloc(dev.Info().BlockSize, 4096)
	for range 20 {
		r.GetSQE().PrepRead(0, buf)
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		r.Arm()
		<-calls
		c, ok := r.Peek()
		for !ok { // a call may be left from before
			r.Arm()
			<-calls
			c, ok = r.Peek()
		}
		if c.Status != blockdev.OK {
			t.Fatal(c.Status)
		}
	}
}

// testIO: the adapter reads and writes anywhere.
func testIO(t *testing.T, dev blockdev.Device) {
	d, err := blockdev.NewIO(context.Background(), dev)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	rng := rand.New(rand.NewPCG(2, 2))
	span := 3 << 20
	want := make([]byte, span)
	got := blockdev.Alloc(span, 4096)
	for range 30 {
		off := rng.IntN(span)
		n := rng.IntN(min(span-off, 1<<rng.IntN(22)) + 1)
		p := blockdev.Alloc(n, 4096)
		fill(p, rng)
		if n, err := d.WriteAt(p, int64(off)); err != nil || n != len(p) {
			t.Fatal(n, err)
		}
		copy(want[off:], p)
	}
	if err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(got, 0); err != nil || n != span || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v, equal %v", n, err, bytes.Equal(got, want))
	}
	part := blockdev.Alloc(5000, 4096)
	if n, err := d.ReadAt(part, 700); err != nil || n != 5000 || !bytes.Equal(part, want[700:5700]) {
		t.Fatalf("a part: %d bytes, %v", n, err)
	}
	if n, err := d.ReadAt(part, d.Size()-10); n != 10 || err != io.EOF {
		t.Fatalf("at the end: %d bytes, %v", n, err)
	}
	if n, err := d.WriteAt(part, d.Size()-10); n != 0 || err == nil {
		t.Fatalf("a write beyond the end: %d bytes, %v", n, err)
	}
}
