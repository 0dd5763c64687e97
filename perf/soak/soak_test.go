package soak

import (
	"errors"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
)

func TestRun(t *testing.T) {
	s, err := Run(t.Context(), Options{Duration: time.Second, Epoch: 400 * time.Millisecond, Mean: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	if s.Epochs < 1 || s.Requests == 0 || s.Cuts == 0 || s.Bits == 0 || s.Checked < sides*perSide*perOwner {
		t.Errorf("%+v", s)
	}
}

// TestFinds: a write that was not done is found.
func TestFinds(t *testing.T) {
	_, err := Run(t.Context(), Options{
		Duration: time.Minute, Epoch: 200 * time.Millisecond,
		Device: func(d blockdev.Device) (blockdev.Device, error) {
			f, err := blockdev.NewFault(t.Context(), d, 1, false)
			if err == nil {
				f.Set(blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, Lost: true, Chance: 0.02})
			}
			return f, err
		},
	})
	var m *mismatch
	if !errors.As(err, &m) {
		t.Fatalf("no mismatch: %v", err)
	}
}

func TestBlock(t *testing.T) {
	b := make([]byte, blockSize)
	k := &block{number: 7, held: 3, lost: []uint64{5}}
	for _, c := range []struct {
		number, write uint64
		flip          int
		ok            bool
	}{
		{7, 3, -1, true}, {7, 5, -1, true}, {7, 4, -1, false}, {7, 0, -1, false}, {8, 3, -1, false},
		{7, 3, 0, false}, {7, 3, 8, false}, {7, 3, 16, false}, {7, 3, 4095, false},
	} {
		stamp(b, c.number, c.write)
		if c.flip >= 0 {
			b[c.flip] ^= 0x10
		}
		if err := k.check(b); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	k.held = 0
	if clear(b); k.check(b) != nil {
		t.Error("a block of zeroes")
	}
	if b[100] = 1; k.check(b) == nil {
		t.Error("a block of zeroes, but for one byte")
	}
}
