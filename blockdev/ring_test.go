package blockdev_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
)

func newMemory(t testing.TB, size int64) *blockdev.Memory {
	t.Helper()
	m, err := blockdev.NewMemory(size, 512)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newRing(t testing.TB, dev blockdev.Device, cfg blockdev.RingConfig) *blockdev.Ring {
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

// reap submits and gives all ends as "userdata status bytes", sorted.
func reap(t testing.TB, r *blockdev.Ring) string {
	t.Helper()
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(context.Background(), r.Depth()); err != nil {
		t.Fatal(err)
	}
	var out []string
	for c, ok := r.Peek(); ok; c, ok = r.Peek() {
		out = append(out, fmt.Sprintf("%d %s %d", c.UserData, c.Status.String(), c.N))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// TestArguments: what is wrong ends with a status that says so.
func TestArguments(t *testing.T) {
	m := newMemory(t, 1<<20)
	r := newRing(t, m, blockdev.RingConfig{})
	buf := make([]byte, 1024)
	for _, c := range []struct {
		sqe  blockdev.SQE
		want blockdev.Status
	}{
		{blockdev.SQE{Op: blockdev.Nop}, blockdev.OK},
		{blockdev.SQE{Op: blockdev.Flush}, blockdev.OK},
		{blockdev.SQE{Op: blockdev.Read, Buf: buf}, blockdev.OK},
		{blockdev.SQE{Op: blockdev.Read, Buf: buf, Offset: 1<<20 - 1024}, blockdev.OK},
		{blockdev.SQE{Op: blockdev.Read, Bufs: [][]byte{buf[:500], buf[500:512]}}, blockdev.OK},
		{blockdev.SQE{Op: 99, Buf: buf}, blockdev.StatusInvalidOp},
		{blockdev.SQE{Op: blockdev.Read}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.Read, Buf: buf, Bufs: [][]byte{buf}}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.Read, Bufs: make([][]byte, 1025)}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.Read, Buf: buf, With: buf}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.CompareWrite, Buf: buf, With: buf[:512]}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.Verify, Buf: buf, Length: 512}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.Verify}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.Verify, Length: -512}, blockdev.StatusInvalidField},
		{blockdev.SQE{Op: blockdev.Write, Buf: buf[:100]}, blockdev.StatusMisaligned},
		{blockdev.SQE{Op: blockdev.Write, Buf: buf, Offset: 3}, blockdev.StatusMisaligned},
		{blockdev.SQE{Op: blockdev.Write, Buf: buf, Offset: 1<<20 - 512}, blockdev.StatusOutOfRange},
		{blockdev.SQE{Op: blockdev.Write, Buf: buf, Offset: -512}, blockdev.StatusOutOfRange},
		{blockdev.SQE{Op: blockdev.Deallocate, Offset: 512, Length: 1<<63 - 512}, blockdev.StatusOutOfRange},
	} {
		*r.GetSQE() = c.sqe
		got := reap(t, r)
		if want := c.want.String(); !strings.Contains(got, want) {
			t.Errorf("%+v: %s, want %s", c.sqe, got, want)
		}
	}
}

// TestFull: the ring gives Depth requests, and the next one when one has been reaped.
func TestFull(t *testing.T) {
	r := newRing(t, newMemory(t, 4096), blockdev.RingConfig{Depth: 2})
	for range 2 {
		r.GetSQE().Op = blockdev.Nop
	}
	if r.GetSQE() != nil {
		t.Fatal("a third request")
	}
	if n, err := r.Submit(); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if r.GetSQE() != nil {
		t.Fatal("a third request, before the first was reaped")
	}
	if _, ok := r.Peek(); !ok {
		t.Fatal("nothing has ended")
	}
	if r.GetSQE() == nil {
		t.Fatal("no room after reaping")
	}
	if r.GetSQE() != nil {
		t.Fatal("room for two after reaping one")
	}
}

// TestLinkBroken: what stands behind a failure in its chain is not done; the next chain is.
func TestLinkBroken(t *testing.T) {
	r := newRing(t, newMemory(t, 4096), blockdev.RingConfig{})
	ones, zeroes := bytes.Repeat([]byte{1}, 512), make([]byte, 512)
	for i, prep := range []func(s *blockdev.SQE){
		func(s *blockdev.SQE) { s.PrepWrite(0, ones); s.Flags = blockdev.Link },
		func(s *blockdev.SQE) { s.PrepCompare(0, zeroes); s.Flags = blockdev.Link },
		func(s *blockdev.SQE) { s.PrepWrite(512, ones); s.Flags = blockdev.Link },
		func(s *blockdev.SQE) { s.Op = blockdev.Nop },
		func(s *blockdev.SQE) { s.PrepCompare(512, zeroes); s.Flags = blockdev.Drain },
	} {
		s := r.GetSQE()
		prep(s)
		s.UserData = uint64(i)
	}
	want := "0 success 512\n1 compare failure 0\n2 a linked request before it failed 0\n" +
		"3 a linked request before it failed 0\n4 success 512"
	if got := reap(t, r); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
}

// TestAllocations: the steady state allocates nothing.
func TestAllocations(t *testing.T) {
	r := newRing(t, newMemory(t, 1<<20), blockdev.RingConfig{Depth: 8})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	bufs := [][]byte{make([]byte, 1024), make([]byte, 3072)}
	n := testing.AllocsPerRun(100, func() {
		for i := range 8 {
			s := r.GetSQE()
			switch i % 4 {
			case 0:
				s.PrepRead(4096, bufs[0])
				s.Flags = blockdev.Link
			case 1:
				s.PrepWritev(8192, bufs)
			case 2:
				s.PrepFlush()
				s.Flags = blockdev.Drain
			case 3:
				s.PrepCompareWrite(0, bufs[0], bufs[0])
			}
			s.Deadline = 1 << 40
		}
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		if err := r.Wait(ctx, 8); err != nil {
			t.Fatal(err)
		}
		for range 8 {
			if _, ok := r.Peek(); !ok {
				t.Fatal("too few ends")
			}
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations in 8 requests", n)
	}
}
