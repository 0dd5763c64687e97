package blockdev

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Memory is a device in memory. It does each request in Submit. With regard to other
// requests a request is one step within each region of 1 MiB, CompareWrite as a whole.
type Memory struct {
	info   Info
	data   []byte
	closed atomic.Bool
	locks  [memLocks]struct {
		sync.RWMutex
		_ [40]byte // a cache line each
	}
}

const (
	memLocks  = 64
	memRegion = 1 << 20 // bytes that share a lock
)

// NewMemory makes a device of size bytes, all zero, in blocks of blockSize bytes.
// Memory is taken as it is written to.
func NewMemory(size int64, blockSize int) (*Memory, error) {
	m := &Memory{info: Info{
		BlockSize: blockSize,
		Size:      size,
		Features:  HasWriteZeroes | HasDeallocate | HasCompare | HasCompareWrite | HasVerify | DeallocateZeroes,
		Name:      "memory",
	}}
	if err := m.info.Validate(); err != nil {
		return nil, err
	}
	if int64(int(size)) != size {
		return nil, fmt.Errorf("blockdev: memory: %d bytes are more than this machine can address", size)
	}
	m.data = make([]byte, size)
	wantHugePages(m.data)
	return m, nil
}

// Info describes the device.
func (m *Memory) Info() Info { return m.info }

// NewRing makes a ring. ctx is not used: nothing is waited for.
func (m *Memory) NewRing(_ context.Context, cfg RingConfig) (*Ring, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	return NewRing(m.info, cfg, &memBackend{m: m, notify: cfg.Notify, done: make([]Done, 0, cfg.Depth)})
}

// Close refuses new rings, and what is submitted to those there are.
func (m *Memory) Close() error {
	m.closed.Store(true)
	return nil
}

// memBackend keeps ends until they are asked for.
type memBackend struct {
	m      *Memory
	notify func()
	done   []Done
	given  int // of done
}

func (b *memBackend) Submit(batch []*Request) {
	closed := b.m.closed.Load()
	for _, q := range batch {
		d := Done{Tag: q.Tag, N: q.Length}
		if closed {
			d.Status = StatusClosed
		} else {
			d.Status = b.m.do(&q.SQE)
		}
		if d.Status != OK {
			d.N = 0
		}
		b.done = append(b.done, d)
	}
}

func (b *memBackend) Poll(done []Done) int {
	n := copy(done, b.done[b.given:])
	if b.given += n; b.given == len(b.done) {
		b.done, b.given = b.done[:0], 0
	}
	return n
}

func (b *memBackend) Arm() {
	if len(b.done) > 0 {
		b.notify()
	}
}

func (b *memBackend) Wait(int, time.Duration) {}
func (b *memBackend) Wake()                   {}
func (b *memBackend) Cancel(*Request)         {}
func (b *memBackend) Close() error            { return nil }

func (m *Memory) do(s *SQE) Status {
	var one [1][]byte
	at := s.Offset
	switch s.Op {
	case Read, Write, Compare:
		for _, b := range s.Vector(&one) {
			if !m.move(s.Op, at, b) {
				return StatusCompareFailure
			}
			at += int64(len(b))
		}
	case WriteZeroes, Deallocate:
		m.zero(at, s.Length)
	case CompareWrite:
		return m.compareWrite(at, s.Buf, s.With)
	}
	return OK
}

// move does s.Op with one buffer, region by region; false: Compare found a difference.
func (m *Memory) move(op Op, at int64, b []byte) bool {
	for len(b) > 0 {
		n := min(len(b), memRegion-int(at%memRegion))
		mem, lock := m.data[at:][:n], &m.locks[at/memRegion%memLocks]
		equal := true
		switch op {
		case Read:
			lock.RLock()
			copy(b, mem)
			lock.RUnlock()
		case Write:
			lock.Lock()
			copy(mem, b)
			lock.Unlock()
		default:
			lock.RLock()
			equal = bytes.Equal(b[:n], mem)
			lock.RUnlock()
		}
		if !equal {
			return false
		}
		b, at = b[n:], at+int64(n)
	}
	return true
}

func (m *Memory) zero(at, length int64) {
	for length > 0 {
		n := min(length, memRegion-at%memRegion)
		lock := &m.locks[at/memRegion%memLocks]
		lock.Lock()
		clear(m.data[at:][:n])
		lock.Unlock()
		at, length = at+n, length-n
	}
}

// compareWrite takes the locks of all its regions, in the order of the locks.
func (m *Memory) compareWrite(at int64, old, with []byte) Status {
	first, last := at/memRegion, (at+int64(len(old))-1)/memRegion
	var mine [memLocks]bool
	for region := first; region <= last && region < first+memLocks; region++ {
		mine[region%memLocks] = true
	}
	for i := range mine {
		if mine[i] {
			m.locks[i].Lock()
		}
	}
	st := OK
	if mem := m.data[at:][:len(old)]; bytes.Equal(mem, old) {
		copy(mem, with)
	} else {
		st = StatusCompareFailure
	}
	for i := range mine {
		if mine[i] {
			m.locks[i].Unlock()
		}
	}
	return st
}
