package host_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/nvmetest"
)

// cutter is between host and target, and cuts each connection after some bytes.
type cutter struct {
	ln    net.Listener
	to    string
	wg    sync.WaitGroup
	after atomic.Int64 // bytes to the host; 0: never
	cuts  atomic.Int64
	tape  nvmetest.Capture // what has passed
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln, to: to}
	c.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) pass(a net.Conn) {
	defer a.Close()
	b, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer b.Close()
	tape := c.tape.Conn()
	c.wg.Go(func() {
		buf := make([]byte, 5000)
		for {
			n, err := a.Read(buf)
			tape.Send(nvme.Host, buf[:n])
			if _, werr := b.Write(buf[:n]); err != nil || werr != nil {
				b.Close()
				return
			}
		}
	})
	buf := make([]byte, 5000)
	for passed := int64(0); ; {
		n, err := b.Read(buf)
		limit := c.after.Load()
		if limit > 0 && passed+int64(n) > limit {
			a.Write(buf[:max(0, limit-passed)]) // in the midst of a PDU
			c.cuts.Add(1)
			return
		}
		tape.Send(nvme.Controller, buf[:n])
		if _, werr := a.Write(buf[:n]); err != nil || werr != nil {
			return
		}
		passed += int64(n)
	}
}

// TestCuts writes and reads while connections are cut in the midst of things. Each
// block holds its number and how often it was written; after a write whose outcome
// nobody knows it may be either.
func TestCuts(t *testing.T) {
	const blocks, size, depth = 64, 4096, 16
	c := newCutter(t, serve(t, blocks*size, 0))
	d := open(t, host.Config{Addr: c.ln.Addr().String(), Queues: 2, DataDigest: true})
	ring, err := d.NewRing(context.Background(), blockdev.RingConfig{Depth: depth})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	w := &cutWork{t: t, ring: ring, rng: rand.New(rand.NewPCG(1, 2)), busy: map[int]*cutBlock{}}
	for i := range w.blocks {
		w.blocks[i] = cutBlock{n: i, buf: make([]byte, size)}
		w.start(&w.blocks[i], blockdev.Write)
		w.reap(0)
	}
	c.after.Store(300_000)
	for deadline := time.Now().Add(30 * time.Second); c.cuts.Load() < 15 && time.Now().Before(deadline); {
		b := &w.blocks[w.rng.IntN(blocks)]
		if w.busy[b.n] == nil && len(w.busy) < depth {
			op := blockdev.Read
			if w.rng.IntN(3) == 0 {
				op = blockdev.Write
			}
			w.start(b, op)
		}
		if len(w.busy) == depth {
			w.reap(depth / 2)
		}
	}
	c.after.Store(0)
	w.reap(0)
	for i := range w.blocks {
		w.start(&w.blocks[i], blockdev.Read)
		w.reap(0)
	}
	t.Logf("%d cuts, %d requests, %d writes with unknown outcome", c.cuts.Load(), w.done, w.unknown)
	if c.cuts.Load() < 15 {
		t.Error("too few cuts")
	}
}

type cutBlock struct {
	n       int
	version uint64   // what it surely was
	maybe   []uint64 // what it may have become, or become again: a lost write may be late
	buf     []byte
	op      blockdev.Op
}

type cutWork struct {
	t             *testing.T
	ring          *blockdev.Ring
	rng           *rand.Rand
	blocks        [64]cutBlock
	busy          map[int]*cutBlock
	next          uint64
	done, unknown int
}

func (w *cutWork) start(b *cutBlock, op blockdev.Op) {
	s := w.ring.GetSQE()
	s.Op, s.Offset, s.Buf, s.UserData = op, int64(b.n)*int64(len(b.buf)), b.buf, uint64(b.n)
	if b.op = op; op == blockdev.Write {
		w.next++
		fill(b.buf, uint64(b.n), w.next)
	} else {
		clear(b.buf)
	}
	w.busy[b.n] = b
	w.ring.Submit()
}

func fill(buf []byte, n, version uint64) {
	for i := 0; i < len(buf); i += 16 {
		binary.LittleEndian.PutUint64(buf[i:], n)
		binary.LittleEndian.PutUint64(buf[i+8:], version)
	}
}

// reap waits until at most left requests are under way.
func (w *cutWork) reap(left int) {
	w.t.Helper()
	for len(w.busy) > left {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		err := w.ring.Wait(ctx, 1)
		cancel()
		if err != nil {
			w.t.Fatal(err)
		}
		for c, ok := w.ring.Peek(); ok; c, ok = w.ring.Peek() {
			w.end(w.busy[int(c.UserData)], c.Status)
		}
	}
}

func (w *cutWork) end(b *cutBlock, st blockdev.Status) {
	w.t.Helper()
	delete(w.busy, b.n)
	w.done++
	version := binary.LittleEndian.Uint64(b.buf[8:])
	switch {
	case b.op == blockdev.Write && st == blockdev.OK:
		b.version = version
	case b.op == blockdev.Write && st == blockdev.StatusLost:
		b.maybe = append(b.maybe, version)
		w.unknown++
	case st != blockdev.OK:
		w.t.Fatalf("%v of block %d: %v", b.op, b.n, st)
	default:
		good := version == b.version
		for _, v := range b.maybe {
			good = good || v == version
		}
		want := make([]byte, len(b.buf))
		fill(want, uint64(b.n), version)
		if !good || !bytes.Equal(want, b.buf) {
			w.t.Fatalf("block %d has version %d, want %d or one of %v; whole: %v", b.n, version, b.version, b.maybe, bytes.Equal(want, b.buf))
		}
	}
}

// TestRingsWhileCut makes rings and closes them, with fewer queue IDs to choose from than is good,
// while connections are cut and so the controller is made again: each is there in the end.
func TestRingsWhileCut(t *testing.T) {
	const rings, size = 4, 24 << 10
	c := newCutter(t, serve(t, 1<<20, 0))
	d := open(t, host.Config{Addr: c.ln.Addr().String(), Queues: rings})
	c.after.Store(70_000) // more than a controller says of itself
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range rings {
		wg.Go(func() {
			for c.cuts.Load() < 40 {
				ring, err := d.NewRing(ctx, blockdev.RingConfig{Depth: 4})
				if err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					mustEnd(t, ring, blockdev.OK, func(s *blockdev.SQE) { s.PrepRead(0, make([]byte, size)) })
				}
				ring.Close()
			}
		})
	}
	wg.Wait()
}
