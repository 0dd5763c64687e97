package blockdev_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
)

func block(v byte) []byte { return bytes.Repeat([]byte{v}, 512) }

func submit(t *testing.T, r *blockdev.Ring, sqes ...blockdev.SQE) {
	t.Helper()
	for i, s := range sqes {
		s.UserData = uint64(i)
		*r.GetSQE() = s
	}
	if _, err := r.Submit(); err != nil {
		t.Fatal(err)
	}
}

func write(at int, v byte) blockdev.SQE {
	return blockdev.SQE{Op: blockdev.Write, Offset: int64(at) * 512, Buf: block(v)}
}

// content gives the first byte of the first n blocks; 'x' of a block that is not uniform.
func content(t *testing.T, dev blockdev.Device, n int) string {
	t.Helper()
	d, err := blockdev.NewIO(context.Background(), dev)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	buf := make([]byte, n*512)
	if _, err := d.ReadAt(buf, 0); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for b := buf; len(b) > 0; b = b[512:] {
		if !bytes.Equal(b[:512], block(b[0])) {
			out.WriteByte('x')
			continue
		}
		fmt.Fprint(&out, b[0])
	}
	return out.String()
}

func TestFaultStatus(t *testing.T) {
	f := newFault(t, false,
		blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, From: 512, To: 1024, Skip: 1, Times: 1, Status: blockdev.StatusFull},
		blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, From: 1024, To: 3072, Torn: 1000})
	r := newRing(t, f, blockdev.RingConfig{})
	submit(t, r, write(0, 1), write(1, 1), write(1, 2), write(1, 3), write(2, 4),
		blockdev.SQE{Op: blockdev.Write, Offset: 3 * 512, Bufs: [][]byte{block(5)[:300], block(5), block(5)[300:]}})
	want := "0 success 512\n1 success 512\n2 no room 0\n3 success 512\n4 success 512\n5 write fault 512"
	if got := reap(t, r); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	if got := content(t, f, 6); got != "134500" {
		t.Fatalf("content %s", got)
	}
}

// TestCrash: what was flushed stays; each other block is old or new; and both happens.
func TestCrash(t *testing.T) {
	var old, kept int
	for seed := range uint64(20) {
		f, err := blockdev.NewFault(context.Background(), newMemory(t, 1<<20), seed, true)
		if err != nil {
			t.Fatal(err)
		}
		r := newRing(t, f, blockdev.RingConfig{})
		submit(t, r, write(0, 1), write(1, 1), write(2, 1))
		reap(t, r)
		submit(t, r, blockdev.SQE{Op: blockdev.Flush})
		reap(t, r)
		fua := write(3, 2)
		fua.Flags = blockdev.FUA
		submit(t, r, write(0, 2), write(1, 2), fua)
		reap(t, r)
		if err := f.Crash(); err != nil {
			t.Fatal(err)
		}
		switch got := content(t, f, 4); got {
		case "1112":
			old++
		case "2212":
			kept++
		case "1212", "2112":
		default:
			t.Fatalf("seed %d: after the crash %s", seed, got)
		}
		if err := f.Crash(); err != nil { // nothing is left to lose
			t.Fatal(err)
		}
	}
	if old == 0 || kept == 0 {
		t.Fatalf("in 20 crashes all was lost %d times, nothing %d times", old, kept)
	}
}

// TestCrashRandom: against a model with the values that each block may have.
func TestCrashRandom(t *testing.T) {
	const blocks = 8
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		f, err := blockdev.NewFault(context.Background(), newMemory(t, 1<<20), seed, true)
		if err != nil {
			t.Fatal(err)
		}
		r := newRing(t, f, blockdev.RingConfig{})
		may := [blocks][]byte{} // the last one is the present value
		for i := range may {
			may[i] = []byte{0}
		}
		for v := byte(1); v < 10; v++ {
			switch rng.IntN(4) {
			case 0: // a flush that tells the truth, or not
				lost := rng.IntN(3) == 0
				if f.Set(); lost {
					f.Set(blockdev.Rule{Ops: []blockdev.Op{blockdev.Flush}, Lost: true})
				}
				submit(t, r, blockdev.SQE{Op: blockdev.Flush})
				for i := range may {
					if !lost {
						may[i] = may[i][len(may[i])-1:]
					}
				}
			default:
				at := rng.IntN(blocks)
				submit(t, r, write(at, v))
				may[at] = append(may[at], v)
			}
			if got := reap(t, r); !strings.Contains(got, "success") {
				t.Fatal(got)
			}
		}
		if err := f.Crash(); err != nil {
			t.Fatal(err)
		}
		got := content(t, f, blocks)
		for i := range may {
			if !bytes.Contains(may[i], []byte{got[i] - '0'}) {
				t.Fatalf("seed %d: block %d has %c, may have %v", seed, i, got[i], may[i])
			}
		}
	}
}

// TestHold: what is held is under way for links, drains, deadlines, Cancel and contexts.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFault(t, false, blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, To: 512, Hold: true})
		r := newRing(t, f, blockdev.RingConfig{})
		first := write(0, 1)
		first.Flags, first.Deadline = blockdev.Link, time.Second
		second := write(1, 1)
		behind := write(2, 1)
		behind.Flags, behind.Deadline = blockdev.Drain, 2*time.Second
		other := write(3, 1)
		submit(t, r, first, second, behind, other)
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if err := r.Wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Wait: %v", err)
		}
		if n := r.Cancel(3); n != 1 {
			t.Fatalf("%d requests canceled", n)
		}
		begin := time.Now()
		got := reap(t, r)
		want := "0 deadline exceeded 0\n1 a linked request before it failed 0\n2 success 512\n3 canceled 0"
		if got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
		if d := time.Since(begin); d != time.Second-time.Millisecond {
			t.Fatalf("after %v", d)
		}
		if got := content(t, f, 4); got != "0010" {
			t.Fatalf("content %s", got)
		}
	})
}

// TestHeldDeadline: what a drain holds ends at its own deadline, with its chain.
func TestHeldDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFault(t, false, blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, To: 512, Hold: true})
		r := newRing(t, f, blockdev.RingConfig{})
		head, mid, tail := write(1, 1), write(2, 1), write(3, 1)
		head.Flags = blockdev.Drain | blockdev.Link
		mid.Flags, mid.Deadline = blockdev.Link, time.Second
		submit(t, r, write(0, 1), head, mid, tail, write(4, 1))
		if err := r.Wait(context.Background(), 2); err != nil {
			t.Fatal(err)
		}
		if r.Pending() != 3 || f.Held() != 1 {
			t.Fatalf("%d pending, %d held", r.Pending(), f.Held())
		}
		f.Release()
		want := "0 success 512\n1 success 512\n2 deadline exceeded 0\n3 a linked request before it failed 0\n4 success 512"
		if got := reap(t, r); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// TestHeldLast: the last of those held is taken back; what comes then follows the one before.
func TestHeldLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFault(t, false, blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, To: 512, Hold: true})
		r := newRing(t, f, blockdev.RingConfig{})
		drain := write(1, 1)
		drain.Flags = blockdev.Drain
		submit(t, r, write(0, 1), drain, write(2, 1))
		if n := r.Cancel(2); n != 1 {
			t.Fatalf("%d canceled", n)
		}
		submit(t, r, write(3, 1))
		f.Release()
		if err := r.Wait(context.Background(), 4); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f.Inner(), 4); got != "1101" || r.Pending() != 0 {
			t.Fatalf("content %s, %d pending", got, r.Pending())
		}
	})
}

// TestCrashFlushAmid: a Flush makes durable what has ended, also of a block that is being
// written again.
func TestCrashFlushAmid(t *testing.T) {
	var first, second int
	for seed := range uint64(20) {
		slow := newFault(t, false)
		f, err := blockdev.NewFault(context.Background(), slow, seed, true)
		if err != nil {
			t.Fatal(err)
		}
		r := newRing(t, f, blockdev.RingConfig{})
		submit(t, r, write(0, 1))
		reap(t, r)
		slow.Set(blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, Hold: true})
		submit(t, r, write(0, 2))
		submit(t, r, blockdev.SQE{Op: blockdev.Flush})
		if err := r.Wait(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		slow.Release()
		reap(t, r)
		slow.Set()
		if err := f.Crash(); err != nil {
			t.Fatal(err)
		}
		switch got := content(t, f, 1); got {
		case "1":
			first++
		case "2":
			second++
		default:
			t.Fatalf("seed %d: content %s", seed, got)
		}
	}
	if first == 0 || second == 0 {
		t.Fatalf("%d times the first write, %d times the second", first, second)
	}
}

// TestHoldNotify: Notify tells of a release, of a delay that is over, and of a deadline.
func TestHoldNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFault(t, false,
			blockdev.Rule{Ops: []blockdev.Op{blockdev.Write}, Hold: true},
			blockdev.Rule{Ops: []blockdev.Op{blockdev.Flush}, Delay: time.Second})
		calls := make(chan struct{}, 8)
		r := newRing(t, f, blockdev.RingConfig{Notify: func() { calls <- struct{}{} }})
		late := write(0, 1)
		late.Deadline = time.Minute
		for _, c := range []struct {
			sqe  blockdev.SQE
			do   func()
			want blockdev.Status
		}{
			{write(0, 1), f.Release, blockdev.OK},
			{blockdev.SQE{Op: blockdev.Flush}, func() {}, blockdev.OK},
			{late, func() {}, blockdev.StatusDeadline},
			{write(0, 1), func() { _ = f.Crash() }, blockdev.StatusLost},
		} {
			submit(t, r, c.sqe)
			r.Arm()
			if synctest.Wait(); len(calls) != 0 {
				t.Fatal("called too early")
			}
			c.do()
			<-calls
			if e, ok := r.Peek(); !ok || e.Status != c.want {
				t.Fatalf("%v: %v %v, want %v", c.sqe.Op, e.Status, ok, c.want)
			}
		}
	})
}

// TestIOContext: an IO whose context ends gives the buffer back.
func TestIOContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFault(t, false, blockdev.Rule{Hold: true})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		d, err := blockdev.NewIO(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.WriteAt(block(1), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if f.Held() != 0 {
			t.Fatal("the device still has the request")
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if got := content(t, f.Inner(), 1); got != "0" {
			t.Fatalf("content %s", got)
		}
	})
}

// TestIOError: the error says where; the count is what is certain.
func TestIOError(t *testing.T) {
	f := newFault(t, false, blockdev.Rule{From: 300 << 10, To: 301 << 10, Status: blockdev.StatusReadError})
	d, err := blockdev.NewIO(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	n, err := d.ReadAt(make([]byte, 1<<20), 0)
	if n != 256<<10 || !errors.Is(err, blockdev.StatusReadError) {
		t.Fatal(n, err)
	}
	if n, err := d.ReadAt(make([]byte, 10), 1000); n != 10 || err != nil {
		t.Fatal(n, err)
	}
}
