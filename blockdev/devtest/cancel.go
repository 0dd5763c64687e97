package devtest

import (
	"bytes"
	"context"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
)

// Cancel runs requests that do not touch each other, and takes some back: those end as
// they should, or with StatusCanceled, and blocks that a canceled one was to write have
// what they had or what they were to get.
func Cancel(t *testing.T, dev blockdev.Device, seed uint64) {
	t.Helper()
	p := newProgram(t, dev, seed)
	defer p.ring.Close() // a device may not have room for as many rings as there are seeds
	bs := p.info.BlockSize
	before := bytes.Clone(p.model)
	maybe := map[int]bool{} // blocks
	for block := 0; block < area && len(p.expect) < p.ring.Depth(); block++ {
		e := &expect{sqe: blockdev.SQE{Op: blockdev.Op(1 + p.rng.IntN(2)), Offset: int64(block * bs), Length: int64(bs)}}
		p.buffers(&e.sqe)
		e.status = p.predict(e, false)
		if p.rng.IntN(10) == 0 {
			e.sqe.Flags = blockdev.Drain
		}
		p.prepare([]*expect{e})
	}
	if _, err := p.ring.Submit(); err != nil {
		t.Fatal(err)
	}
	canceled := map[uint64]bool{}
	for id := uint64(1); id <= p.next; id++ {
		if p.rng.IntN(2) == 0 {
			canceled[id] = true
			if n := p.ring.Cancel(id); n > 1 {
				t.Fatalf("seed %d: %d requests with the same UserData", seed, n)
			}
		}
	}
	if err := p.ring.Wait(context.Background(), p.ring.Depth()); err != nil {
		t.Fatal(err)
	}
	for c, ok := p.ring.Peek(); ok; c, ok = p.ring.Peek() {
		e := p.expect[c.UserData]
		delete(p.expect, c.UserData)
		if c.Status == blockdev.StatusCanceled && canceled[c.UserData] {
			maybe[int(e.sqe.Offset)/bs] = true
		} else if err := e.compare(c); err != nil {
			t.Fatalf("seed %d, request %d: %v", seed, c.UserData, err)
		}
	}
	if len(p.expect) != 0 {
		t.Fatalf("seed %d: %d requests have not ended", seed, len(p.expect))
	}
	want := bytes.Clone(p.model)
	p.sync()
	for block := range area {
		got := p.model[block*bs:][:bs]
		if !bytes.Equal(got, want[block*bs:][:bs]) && (!maybe[block] || !bytes.Equal(got, before[block*bs:][:bs])) {
			t.Fatalf("seed %d: block %d has neither what it had nor what was written", seed, block)
		}
	}
}
