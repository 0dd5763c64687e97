package devtest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
)

// area is how many blocks the programs use: few, so that they meet.
const area = 48

// program is a run of random requests, and a model of the device.
type program struct {
	t     *testing.T
	seed  uint64
	rng   *rand.Rand
	info  blockdev.Info
	ring  *blockdev.Ring
	model []byte // of the area

	next   uint64             // UserData
	expect map[uint64]*expect // of what has not been reaped
	// What may be under way: blocks read and written since the last drain or since
	// nothing was pending.
	reads, writes [area]bool
}

// expect is how a request must end.
type expect struct {
	sqe    blockdev.SQE
	status blockdev.Status
	data   []byte // Read: what must have come
}

// Seed runs the program of one seed on dev.
func Seed(t *testing.T, dev blockdev.Device, seed uint64) {
	t.Helper()
	p := newProgram(t, dev, seed)
	defer p.ring.Close() // a device may not have room for as many rings as there are seeds
	for range 30 {
		for range 1 + p.rng.IntN(4) {
			p.chain()
		}
		if _, err := p.ring.Submit(); err != nil {
			t.Fatal(err)
		}
		p.reap(p.rng.IntN(1 + p.ring.Pending()))
	}
	p.finish()
}

func newProgram(t *testing.T, dev blockdev.Device, seed uint64) *program {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	p := &program{
		t: t, seed: seed, rng: rng, info: dev.Info(), expect: map[uint64]*expect{},
		ring: newRing(t, dev, blockdev.RingConfig{Depth: []int{6, 16, 128}[rng.IntN(3)]}),
	}
	p.model = make([]byte, area*p.info.BlockSize)
	p.sync()
	return p
}

// sync learns the device's content.
func (p *program) sync() {
	p.t.Helper()
	buf := blockdev.Alloc(len(p.model), 4096)
	for at := 0; at < len(buf); at += p.info.BlockSize {
		must(p.t, p.ring, blockdev.SQE{Op: blockdev.Read, Offset: int64(at), Buf: buf[at:][:p.info.BlockSize]})
	}
	copy(p.model, buf)
}

// finish takes all ends and compares the whole area.
func (p *program) finish() {
	p.t.Helper()
	p.reap(p.ring.Depth())
	if len(p.expect) != 0 {
		p.t.Fatalf("seed %d: %d requests have not ended", p.seed, len(p.expect))
	}
	want := bytes.Clone(p.model)
	if p.sync(); !bytes.Equal(p.model, want) {
		p.t.Fatalf("seed %d: the device does not hold what the model holds", p.seed)
	}
}

// chain prepares a chain of one to four requests.
func (p *program) chain() {
	if p.ring.Depth()-len(p.expect) < 4 {
		if _, err := p.ring.Submit(); err != nil {
			p.t.Fatal(err)
		}
		p.reap(p.ring.Depth())
	}
	var chain []*expect
	var reads, writes [area]bool
	meets, broken := p.rng.IntN(12) == 0, false
	for n := 1 + max(0, p.rng.IntN(8)-4); n > 0; n-- {
		e := p.request()
		e.status = p.predict(e, broken)
		broken = broken || e.status != blockdev.OK
		chain = append(chain, e)
		if n > 1 {
			e.sqe.Flags |= blockdev.Link
		}
		first, last := p.blocks(&e.sqe)
		for i := first; i < last; i++ {
			w := e.sqe.Op.Writes()
			meets = meets || p.writes[i] || w && p.reads[i]
			reads[i], writes[i] = true, writes[i] || w
		}
	}
	if meets {
		chain[p.rng.IntN(len(chain))].sqe.Flags |= blockdev.Drain
		p.reads, p.writes = [area]bool{}, [area]bool{}
	} else {
		for i := range area {
			p.reads[i], p.writes[i] = p.reads[i] || reads[i], p.writes[i] || writes[i]
		}
	}
	p.prepare(chain)
}

// prepare puts a chain into the ring.
func (p *program) prepare(chain []*expect) {
	for _, e := range chain {
		s := p.ring.GetSQE()
		if s == nil {
			p.t.Fatalf("seed %d: no room with %d requests of %d", p.seed, len(p.expect), p.ring.Depth())
		}
		p.next++
		e.sqe.UserData = p.next
		*s = e.sqe
		p.expect[p.next] = e
	}
}

// blocks gives the blocks of s within the area.
func (p *program) blocks(s *blockdev.SQE) (first, last int) {
	if s.Op == blockdev.Nop || s.Op == blockdev.Flush || s.Offset >= int64(len(p.model)) {
		return 0, 0
	}
	bs := int64(p.info.BlockSize)
	return int(s.Offset / bs), int((s.Offset + s.Length) / bs)
}

// request makes a random request that the device can do, but for some that go too far.
func (p *program) request() *expect {
	e := &expect{}
	s := &e.sqe
	ops := p.ops()
	s.Op = ops[p.rng.IntN(len(ops))]
	bs := p.info.BlockSize
	n := 1 + p.rng.IntN(4)
	s.Offset = int64(p.rng.IntN(area-n+1) * bs)
	if p.rng.IntN(40) == 0 {
		s.Offset = p.info.Size
	}
	s.Length = int64(n * bs)
	if s.Op == blockdev.Read || s.Op == blockdev.Write || s.Op == blockdev.Compare {
		p.buffers(s)
	}
	if s.Op == blockdev.CompareWrite {
		s.Buf, s.With = blockdev.Alloc(n*bs, 4096), blockdev.Alloc(n*bs, 4096)
		fill(s.With, p.rng)
	}
	if s.Op.Writes() && p.rng.IntN(8) == 0 {
		s.Flags |= blockdev.FUA
	}
	return e
}

// ops gives what the device can do; reads and writes more than once.
func (p *program) ops() []blockdev.Op {
	ops := []blockdev.Op{
		blockdev.Read, blockdev.Read, blockdev.Read, blockdev.Write, blockdev.Write, blockdev.Write,
		blockdev.Nop, blockdev.Flush,
	}
	for _, c := range []struct {
		feature blockdev.Features
		op      blockdev.Op
	}{
		{blockdev.HasWriteZeroes, blockdev.WriteZeroes},
		{blockdev.DeallocateZeroes, blockdev.Deallocate},
		{blockdev.HasCompare, blockdev.Compare},
		{blockdev.HasCompareWrite, blockdev.CompareWrite},
		{blockdev.HasVerify, blockdev.Verify},
	} {
		if p.info.Features&c.feature != 0 {
			ops = append(ops, c.op)
		}
	}
	return ops
}

// buffers gives s one buffer or many, random in content.
func (p *program) buffers(s *blockdev.SQE) {
	s.Buf = blockdev.Alloc(int(s.Length), 4096)
	fill(s.Buf, p.rng)
	if p.rng.IntN(3) == 0 {
		s.Bufs, s.Buf = cut(s.Buf, p.info.BlockSize), nil
	}
}

// predict does e on the model, and says how it must end.
func (p *program) predict(e *expect, broken bool) blockdev.Status {
	s := &e.sqe
	switch {
	case broken:
		return blockdev.StatusLinkBroken
	case s.Op == blockdev.Nop || s.Op == blockdev.Flush:
		return blockdev.OK
	case s.Offset >= p.info.Size:
		return blockdev.StatusOutOfRange
	}
	mem := p.model[s.Offset:][:s.Length]
	switch s.Op {
	case blockdev.Read:
		e.data = bytes.Clone(mem)
	case blockdev.Write:
		copy(mem, joined(s))
	case blockdev.WriteZeroes, blockdev.Deallocate:
		clear(mem)
	case blockdev.Compare, blockdev.CompareWrite:
		if p.rng.IntN(3) == 0 && !bytes.Equal(joined(s), mem) {
			return blockdev.StatusCompareFailure
		}
		var one [1][]byte
		at := 0
		for _, b := range s.Vector(&one) {
			at += copy(b, mem[at:])
		}
		copy(mem, s.With)
	}
	return blockdev.OK
}

func joined(s *blockdev.SQE) []byte {
	var one [1][]byte
	return bytes.Join(s.Vector(&one), nil)
}

// reap takes n ends, or all that are pending if those are fewer, and checks each.
func (p *program) reap(n int) {
	p.t.Helper()
	if err := p.ring.Wait(context.Background(), n); err != nil {
		p.t.Fatal(err)
	}
	for c, ok := p.ring.Peek(); ok; c, ok = p.ring.Peek() {
		e := p.expect[c.UserData]
		if e == nil {
			p.t.Fatalf("seed %d: request %d ends, and is not under way", p.seed, c.UserData)
		}
		delete(p.expect, c.UserData)
		if err := e.compare(c); err != nil {
			p.t.Fatalf("seed %d, request %d, %v at %d, %d bytes, flags %b: %v",
				p.seed, c.UserData, e.sqe.Op, e.sqe.Offset, e.sqe.Length, e.sqe.Flags, err)
		}
	}
	if len(p.expect) == 0 {
		p.reads, p.writes = [area]bool{}, [area]bool{}
	}
}

func (e *expect) compare(c blockdev.CQE) error {
	switch {
	case c.Status != e.status:
		return fmt.Errorf("ends with %v, want %v", c.Status, e.status)
	case c.Status != blockdev.OK:
		return nil
	case e.sqe.Op == blockdev.Read && !bytes.Equal(joined(&e.sqe), e.data):
		return fmt.Errorf("has read something else than the model holds")
	case (e.sqe.Op == blockdev.Read || e.sqe.Op == blockdev.Write) && c.N != e.sqe.Length:
		return fmt.Errorf("%d bytes done", c.N)
	}
	return nil
}
