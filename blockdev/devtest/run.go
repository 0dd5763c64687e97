package devtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
)

// MinSize is how many bytes a device must have.
const MinSize = 4 << 20

// Open makes a new device; the test ends if it can't.
type Open func(t *testing.T) blockdev.Device

// seeds is how many random programs Run tries.
func seeds() uint64 {
	if testing.Short() {
		return 10
	}
	return 40
}

// Run runs all tests.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, dev blockdev.Device)
	}{
		{"Info", testInfo},
		{"Rings", testRings},
		{"Counter", testCounter},
		{"Large", testLarge},
		{"Close", testClose},
		{"Context", testContext},
		{"Notify", testNotify},
		{"IO", testIO},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, with(t, open)) })
	}
	t.Run("Programs", func(t *testing.T) {
		dev := with(t, open)
		for seed := range seeds() {
			if Seed(t, dev, seed); t.Failed() {
				return
			}
		}
	})
	t.Run("Cancel", func(t *testing.T) {
		dev := with(t, open)
		for seed := range seeds() {
			if Cancel(t, dev, seed); t.Failed() {
				return
			}
		}
	})
}

func with(t *testing.T, open Open) blockdev.Device {
	t.Helper()
	dev := open(t)
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return dev
}

func newRing(t *testing.T, dev blockdev.Device, cfg blockdev.RingConfig) *blockdev.Ring {
	t.Helper()
	r, err := dev.NewRing(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// one does a single request.
func one(r *blockdev.Ring, sqe blockdev.SQE) (blockdev.CQE, error) {
	*r.GetSQE() = sqe
	if _, err := r.Submit(); err != nil {
		return blockdev.CQE{}, err
	}
	if err := r.Wait(context.Background(), 1); err != nil {
		return blockdev.CQE{}, err
	}
	c, ok := r.Peek()
	if !ok {
		return c, fmt.Errorf("nothing has ended, and Wait has returned")
	}
	return c, nil
}

func must(t *testing.T, r *blockdev.Ring, sqe blockdev.SQE) {
	t.Helper()
	if c, err := one(r, sqe); err != nil || c.Status != blockdev.OK {
		t.Fatalf("%v at %d: %v %v", sqe.Op, sqe.Offset, c.Status, err)
	}
}

func testInfo(t *testing.T, dev blockdev.Device) {
	info := dev.Info()
	if err := info.Validate(); err != nil {
		t.Fatal(err)
	}
	if info.Size < MinSize {
		t.Fatalf("%d bytes: the tests need %d", info.Size, MinSize)
	}
	if _, err := dev.NewRing(context.Background(), blockdev.RingConfig{Depth: blockdev.MaxDepth + 1}); err == nil {
		t.Fatal("a ring deeper than MaxDepth")
	}
}

// testRings: several rings at a time, each in its own part of the device.
func testRings(t *testing.T, dev blockdev.Device) {
	const rings, rounds, depth = 4, 10, 16
	bs := dev.Info().BlockSize
	var wg sync.WaitGroup
	for i := range rings {
		r := newRing(t, dev, blockdev.RingConfig{Depth: depth})
		wg.Go(func() {
			got, want := blockdev.Alloc(bs*depth, bs), blockdev.Alloc(bs*depth, bs)
			for round := range rounds {
				for j := range depth {
					b := want[j*bs:][:bs]
					copy(b, bytes.Repeat([]byte{byte(i), byte(j), byte(round), 7}, bs/4))
					r.GetSQE().PrepWrite(int64((i*depth+j)*bs), b)
				}
				all(t, r, depth)
				for j := range depth {
					r.GetSQE().PrepRead(int64((i*depth+j)*bs), got[j*bs:][:bs])
				}
				all(t, r, depth)
				if !bytes.Equal(got, want) {
					t.Errorf("ring %d, round %d: read something else than was written", i, round)
				}
			}
		})
	}
	wg.Wait()
}

// all submits, and takes n ends that must be good.
func all(t *testing.T, r *blockdev.Ring, n int) {
	if _, err := r.Submit(); err != nil {
		t.Error(err)
	}
	if err := r.Wait(context.Background(), n); err != nil {
		t.Error(err)
	}
	for range n {
		if c, ok := r.Peek(); !ok || c.Status != blockdev.OK {
			t.Errorf("%v, ended: %v", c.Status, ok)
		}
	}
}

// testCounter: CompareWrite is one step, whichever ring it comes from.
func testCounter(t *testing.T, dev blockdev.Device) {
	info := dev.Info()
	if info.Features&blockdev.HasCompareWrite == 0 {
		t.Skip("the device has no CompareWrite")
	}
	const rings, rounds = 3, 50
	var wg sync.WaitGroup
	for range rings {
		r := newRing(t, dev, blockdev.RingConfig{Depth: 1})
		wg.Go(func() {
			old, with := blockdev.Alloc(info.BlockSize, 4096), blockdev.Alloc(info.BlockSize, 4096)
			for done := 0; done < rounds; {
				if c, err := one(r, blockdev.SQE{Op: blockdev.Read, Buf: old}); err != nil || c.Status != blockdev.OK {
					t.Error(c.Status, err)
					return
				}
				copy(with, old)
				binary.LittleEndian.PutUint64(with, binary.LittleEndian.Uint64(old)+1)
				c, err := one(r, blockdev.SQE{Op: blockdev.CompareWrite, Buf: old, With: with})
				switch {
				case err == nil && c.Status == blockdev.OK:
					done++
				case err != nil || c.Status != blockdev.StatusCompareFailure:
					t.Error(c.Status, err)
					return
				}
			}
		})
	}
	wg.Wait()
	buf := blockdev.Alloc(info.BlockSize, 4096)
	must(t, newRing(t, dev, blockdev.RingConfig{}), blockdev.SQE{Op: blockdev.Read, Buf: buf})
	if n := binary.LittleEndian.Uint64(buf); n != rings*rounds {
		t.Fatalf("counted to %d, want %d", n, rings*rounds)
	}
}
