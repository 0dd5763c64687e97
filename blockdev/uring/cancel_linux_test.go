package uring

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
)

// slowRing is a ring whose reads take until something is written to the pipe.
func slowRing(t *testing.T) (*blockdev.Ring, *os.File) {
	t.Helper()
	d := openFile(t, Config{}, t.TempDir())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	file := d.fd
	d.fd = int(r.Fd()) // what the ring registers
	ring, err := d.NewRing(context.Background(), blockdev.RingConfig{})
	if err != nil {
		t.Fatal(err)
	}
	d.fd = file
	t.Cleanup(func() {
		if err := errors.Join(ring.Close(), w.Close(), r.Close(), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return ring, w
}

// TestCancel: a request that takes long comes back when it is canceled, or late.
func TestCancel(t *testing.T) {
	ring, _ := slowRing(t)
	for i, deadline := range []time.Duration{0, time.Millisecond} {
		s := ring.GetSQE()
		s.PrepRead(0, make([]byte, 512))
		s.UserData, s.Deadline = uint64(i), deadline
	}
	if _, err := ring.Submit(); err != nil {
		t.Fatal(err)
	}
	if n := ring.Cancel(0); n != 1 {
		t.Fatalf("%d canceled", n)
	}
	if err := ring.Wait(context.Background(), 2); err != nil {
		t.Fatal(err)
	}
	want := []blockdev.Status{blockdev.StatusCanceled, blockdev.StatusDeadline}
	for range want {
		if c, ok := ring.Peek(); !ok || c.Status != want[c.UserData] {
			t.Errorf("request %d: %v", c.UserData, c.Status)
		}
	}
}

// TestContextWakes: Wait that sleeps in the kernel returns when its context ends, also when
// it waits for many.
func TestContextWakes(t *testing.T) {
	ring, w := slowRing(t)
	for range 3 {
		ring.GetSQE().PrepRead(0, make([]byte, 512))
		if _, err := ring.Submit(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, cancel := context.WithCancel(context.Background())
			go cancel()
			if err := ring.Wait(ctx, 3); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		}
	}
	go func() {
		if _, err := w.Write(make([]byte, 3*512)); err != nil {
			t.Error(err)
		}
	}()
	if err := ring.Wait(context.Background(), 3); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if c, ok := ring.Peek(); !ok || c.Status != blockdev.OK || c.N != 512 {
			t.Fatal(c, ok)
		}
	}
}

// TestCloseTakesBack: Close does not wait for what may never end.
func TestCloseTakesBack(t *testing.T) {
	ring, _ := slowRing(t)
	ring.GetSQE().PrepRead(0, make([]byte, 512))
	if _, err := ring.Submit(); err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	if c, ok := ring.Peek(); !ok || c.Status != blockdev.StatusClosed {
		t.Fatal(c, ok)
	}
}

// TestWakeBeforeWait: who is woken before he waits does not wait.
func TestWakeBeforeWait(t *testing.T) {
	d := openFile(t, Config{}, t.TempDir())
	defer d.Close()
	cfg, err := blockdev.RingConfig{}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := newKernelRing(d, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []blockdev.Backend{kernel, newPoolRing(d, cfg)} {
		waited := make(chan struct{})
		b.Wake()
		go func() {
			b.Wait(1, -1)
			close(waited)
		}()
		select {
		case <-waited:
		case <-time.After(10 * time.Second):
			t.Errorf("%T: nobody wakes it", b)
			b.Wake()
			<-waited
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestCancelInPart: a request that is canceled when a part of it has been done is not done to the end:
// whoever guards it may not any more.
func TestCancelInPart(t *testing.T) {
	ring, w := slowRing(t)
	s := ring.GetSQE()
	s.PrepRead(0, make([]byte, 512))
	if _, err := ring.Submit(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	ring.Cancel(0)
	if err := ring.Wait(context.Background(), 1); err != nil {
		t.Fatal(err)
	}
	if c, ok := ring.Peek(); !ok || c.Status != blockdev.StatusCanceled {
		t.Errorf("%v %v", c.Status, ok)
	}
}
