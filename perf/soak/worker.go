package soak

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Shape of a worker's load.
const (
	depth    = 32
	maxRun   = 64 // blocks of a request: 256 KiB
	perOwner = 1024
)

// worker has a ring and some blocks.
type worker struct {
	name   string
	blocks []block
	writes uint64 // how many there were
	rng    *rand.Rand
	tasks  [depth]task
	free   []int
	stats  Stats
}

// task is a request that is under way.
type task struct {
	op    blockdev.Op
	part  []block // its blocks
	write uint64  // of a request that writes
	buf   []byte
	with  []byte
}

func newWorker(name string, first uint64, seed uint64) *worker {
	w := &worker{name: name, blocks: make([]block, perOwner), rng: rand.New(rand.NewPCG(seed, first))}
	for i := range w.blocks {
		w.blocks[i].number = first + uint64(i)
	}
	for i := range w.tasks {
		w.tasks[i].buf, w.tasks[i].with = make([]byte, maxRun*blockSize), make([]byte, blockSize)
		w.free = append(w.free, i)
	}
	return w
}

// mismatch is data that is not what it must be.
type mismatch struct {
	worker string
	err    error
}

func (m *mismatch) Error() string { return fmt.Sprintf("soak: %s: %v", m.worker, m.err) }

// run keeps the ring busy until more says no.
func (w *worker) run(ctx context.Context, ring *blockdev.Ring, more func() bool) error {
	for on := true; on || ring.Pending() > 0; {
		on = on && more() && ctx.Err() == nil
		for on && len(w.free) > 0 && w.start(ring) {
		}
		if _, err := ring.Submit(); err != nil {
			return err
		}
		if err := ring.Wait(ctx, 1); err != nil {
			return err
		}
		if err := w.reap(ring); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *worker) reap(ring *blockdev.Ring) error {
	for c, ok := ring.Peek(); ok; c, ok = ring.Peek() {
		t := &w.tasks[c.UserData]
		w.free = append(w.free, int(c.UserData))
		for i := range t.part {
			t.part[i].busy = false
		}
		if err := w.ended(t, c.Status); err != nil {
			return &mismatch{w.name, fmt.Errorf("%v of blocks %d to %d: %w", t.op, t.part[0].number, t.part[len(t.part)-1].number, err)}
		}
	}
	return nil
}

// pick gives blocks that nothing is under way for; nil: a try was in vain.
func (w *worker) pick(most int) []block {
	n := 1
	if w.rng.IntN(2) == 0 {
		n += w.rng.IntN(most)
	}
	at := w.rng.IntN(len(w.blocks) - n + 1)
	part := w.blocks[at : at+n]
	for i := range part {
		if part[i].busy {
			return nil
		}
	}
	return part
}

var mix = []blockdev.Op{
	blockdev.Read, blockdev.Read, blockdev.Read, blockdev.Read, blockdev.Write, blockdev.Write, blockdev.Write,
	blockdev.WriteZeroes, blockdev.Compare, blockdev.CompareWrite, blockdev.Flush,
}

// start prepares a request; false: the ring is to go on first.
func (w *worker) start(ring *blockdev.Ring) bool {
	op, most := mix[w.rng.IntN(len(mix))], maxRun
	if op == blockdev.CompareWrite {
		most = 1
	}
	part := w.pick(most)
	if part == nil {
		return false
	}
	s := ring.GetSQE()
	if s == nil {
		return false
	}
	slot := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	t := &w.tasks[slot]
	t.op, t.part, t.write = op, part, 0
	off, n := int64(part[0].number)*blockSize, len(part)*blockSize
	s.UserData = uint64(slot)
	if op.Writes() && op != blockdev.WriteZeroes {
		w.writes++
		t.write = w.writes
	}
	buf := t.buf[:n]
	switch op {
	case blockdev.Read:
		s.PrepRead(off, buf)
	case blockdev.Write:
		each(part, buf, func(k *block, b []byte) { stamp(b, k.number, t.write) })
		s.PrepWrite(off, buf)
	case blockdev.WriteZeroes:
		s.PrepWriteZeroes(off, int64(n))
	case blockdev.Compare:
		each(part, buf, func(k *block, b []byte) { stamp(b, k.number, k.held) })
		s.PrepCompare(off, buf)
	case blockdev.CompareWrite:
		stamp(buf, part[0].number, part[0].held)
		stamp(t.with, part[0].number, t.write)
		s.PrepCompareWrite(off, buf, t.with)
	default:
		s.PrepFlush()
		t.part = part[:1]
	}
	for i := range t.part {
		t.part[i].busy = true
	}
	return true
}

// each calls do with each block and its part of buf.
func each(part []block, buf []byte, do func(k *block, b []byte)) {
	for i := range part {
		do(&part[i], buf[i*blockSize:][:blockSize])
	}
}

// ended notes what a request has come to; an error is a mismatch.
func (w *worker) ended(t *task, st blockdev.Status) error {
	w.stats.Requests++
	switch st {
	case blockdev.OK:
		w.stats.Bytes += int64(len(t.part) * blockSize)
		return w.succeeded(t)
	case blockdev.StatusLost, blockdev.Status(nvme.StatusTransientTransport):
		// The data of a read came damaged again and again: no harm is done.
		if t.op.Writes() {
			w.stats.Lost++
			for i := range t.part {
				t.part[i].lost = append(t.part[i].lost, t.write)
			}
		}
		return nil
	case blockdev.StatusCompareFailure:
		for i := range t.part {
			if len(t.part[i].lost) > 0 {
				return nil // one of those may be there
			}
		}
	}
	return st
}

func (w *worker) succeeded(t *task) (err error) {
	switch t.op {
	case blockdev.Read:
		each(t.part, t.buf, func(k *block, b []byte) {
			if err == nil {
				err = k.check(b)
			}
		})
		w.stats.Checked += int64(len(t.part))
	case blockdev.Write, blockdev.WriteZeroes, blockdev.CompareWrite:
		for i := range t.part {
			t.part[i].held = t.write
		}
	}
	return err
}

// settle reads all blocks when nothing can be late any more.
func (w *worker) settle(dev *blockdev.IO) error {
	buf := make([]byte, maxRun*blockSize)
	for rest := w.blocks; len(rest) > 0; rest = rest[maxRun:] {
		part := rest[:maxRun]
		if _, err := dev.ReadAt(buf, int64(part[0].number)*blockSize); err != nil {
			return fmt.Errorf("soak: %s: reading all: %w", w.name, err)
		}
		var err error
		each(part, buf, func(k *block, b []byte) {
			if wrong := k.check(b); wrong != nil {
				err = &mismatch{w.name, fmt.Errorf("at rest: %w", wrong)}
				return
			}
			k.held, _ = written(b, k.number)
			k.lost = k.lost[:0]
		})
		if err != nil {
			return err
		}
		w.stats.Checked += int64(len(part))
	}
	return nil
}
