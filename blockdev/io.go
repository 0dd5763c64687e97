package blockdev

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// IO is a device as an io.ReaderAt and io.WriterAt, at any offset and length. What does
// not begin or end with a block is read, changed and written back, which is no single
// step with regard to others than this IO. Its methods may be called from several
// goroutines, and run one at a time.
type IO struct {
	ctx  context.Context
	info Info
	max  int // bytes of a request

	mu    sync.Mutex
	ring  *Ring
	block []byte
	room  []byte // in place of buffers at a wrong address; nil: not needed yet
}

const (
	ioDepth = 16
	ioMax   = 256 << 10
)

// NewIO makes an IO of dev, with a ring of its own. Its calls end with an error when
// ctx ends.
func NewIO(ctx context.Context, dev Device) (*IO, error) {
	ring, err := dev.NewRing(ctx, RingConfig{Depth: ioDepth})
	if err != nil {
		return nil, err
	}
	info := dev.Info()
	d := &IO{ctx: ctx, info: info, max: ioMax, ring: ring, block: Alloc(info.BlockSize, max(info.BlockSize, info.BufferAlign))}
	if info.MaxTransfer > 0 {
		d.max = min(d.max, info.MaxTransfer)
	}
	return d, nil
}

// Size is that of the device, in bytes.
func (d *IO) Size() int64 { return d.info.Size }

// ReadAt reads len(p) bytes at off. It gives io.EOF if they go beyond the end.
func (d *IO) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("blockdev: %s: read at %d: negative offset", d.info.Name, off)
	}
	var end error
	if room := max(0, d.info.Size-off); int64(len(p)) > room {
		p, end = p[:room], io.EOF
	}
	n, err := d.each(Read, p, off)
	if err == nil {
		err = end
	}
	return n, err
}

// WriteAt writes p at off. It writes nothing if that would go beyond the end.
func (d *IO) WriteAt(p []byte, off int64) (int, error) {
	if off < 0 || int64(len(p)) > d.info.Size-off {
		return 0, fmt.Errorf("blockdev: %s: write of %d bytes at %d: the device has %d", d.info.Name, len(p), off, d.info.Size)
	}
	return d.each(Write, p, off)
}

// Sync makes durable what has been written.
func (d *IO) Sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.run(SQE{Op: Flush}, nil)
	return err
}

// Close closes the ring. The device stays open.
func (d *IO) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ring.Close()
}

// each does p in three parts: up to the first whole block, whole blocks, the rest.
func (d *IO) each(op Op, p []byte, off int64) (total int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bs := d.info.BlockSize
	for len(p) > 0 {
		var n int
		if in := int(off % int64(bs)); in != 0 || len(p) < bs {
			n = min(len(p), bs-in)
			err = d.part(op, p[:n], off-int64(in), in)
		} else {
			n, err = d.whole(op, p[:len(p)/bs*bs], off)
		}
		if err != nil {
			return total + n, err
		}
		p, off, total = p[n:], off+int64(n), total+n
	}
	return total, nil
}

// whole does whole blocks; those in a buffer at a wrong address through room.
func (d *IO) whole(op Op, p []byte, off int64) (int, error) {
	if d.info.aligned(p) {
		return d.run(SQE{Op: op, Offset: off}, p)
	}
	if d.room == nil {
		d.room = Alloc(d.max*ioDepth, d.info.BufferAlign)
	}
	b := d.room[:min(len(p), len(d.room))]
	if op == Write {
		copy(b, p)
	}
	n, err := d.run(SQE{Op: op, Offset: off}, b)
	if op == Read {
		copy(p, b[:n])
	}
	return n, err
}

// part does what lies within the block at, from its byte in on.
func (d *IO) part(op Op, p []byte, at int64, in int) error {
	if _, err := d.run(SQE{Op: Read, Offset: at}, d.block); err != nil {
		return err
	}
	if op == Read {
		copy(p, d.block[in:])
		return nil
	}
	copy(d.block[in:], p)
	_, err := d.run(SQE{Op: op, Offset: at}, d.block)
	return err
}

// run does s with p, which is cut into requests. It gives the bytes before the first
// that failed.
func (d *IO) run(s SQE, p []byte) (int, error) {
	good, bad := len(p), OK
	whole := s.Op == Flush
	for at := 0; at < len(p) || whole || d.ring.Pending() > 0; {
		for at < len(p) || whole {
			q := d.ring.GetSQE()
			if q == nil {
				break
			}
			*q = s
			q.UserData = uint64(at)
			if whole = false; len(p) > 0 {
				q.Buf = p[at:min(at+d.max, len(p))]
				q.Offset += int64(at)
				at += len(q.Buf)
			}
		}
		if _, err := d.ring.Submit(); err != nil {
			return 0, err
		}
		if err := d.ring.Wait(d.ctx, 1); err != nil {
			d.drop()
			return 0, err
		}
		for c, ok := d.ring.Peek(); ok; c, ok = d.ring.Peek() {
			if from := int(c.UserData); c.Status != OK && (bad == OK || from < good) {
				good, bad = from, c.Status
			}
		}
		if bad != OK {
			at = len(p) // what is pending must come back all the same
		}
	}
	if bad != OK {
		return good, fmt.Errorf("blockdev: %s: %v at byte %d: %w", d.info.Name, s.Op, s.Offset+int64(good), bad)
	}
	return good, nil
}

// drop takes back what is pending: p is the caller's again.
func (d *IO) drop() {
	for d.ring.Pending() > 0 {
		for i := range d.ring.slots {
			if q := &d.ring.slots[i]; q.state > prepared {
				d.ring.Cancel(q.UserData)
			}
		}
		if d.ring.Wait(context.WithoutCancel(d.ctx), 1) != nil {
			return // closed
		}
		for _, ok := d.ring.Peek(); ok; _, ok = d.ring.Peek() {
		}
	}
}
