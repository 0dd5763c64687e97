package uring

import (
	"bytes"
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/blockdev"
)

// do does the request.
func (j *job) do() (blockdev.Status, int64) {
	d, q := j.d, j.q
	err := error(nil)
	switch q.Op {
	case blockdev.Read:
		err = d.each(q, j.from)
	case blockdev.Write:
		if err = d.each(q, j.from); err == nil && q.Flags&blockdev.FUA != 0 {
			err = datasync(d.fd)
		}
	case blockdev.Flush:
		return status(q.Op, datasync(d.fd)), 0
	default:
		return j.more()
	}
	if err != nil {
		return status(q.Op, err), 0
	}
	return blockdev.OK, q.Length
}

// more does what the kernel's ring has no request for.
func (j *job) more() (blockdev.Status, int64) {
	d, q := j.d, j.q
	err := error(nil)
	switch q.Op {
	case blockdev.WriteZeroes:
		err = d.writeZeroes(q.Offset, q.Length)
	case blockdev.Deallocate:
		if err = punch(d.fd, q.Offset, q.Length); unsupported(err) && d.info.Features&blockdev.DeallocateZeroes != 0 {
			err = d.writeZeroes(q.Offset, q.Length)
		} else if unsupported(err) {
			err = nil // it was only advice
		}
	case blockdev.Verify, blockdev.Compare:
		err = j.compare()
	case blockdev.CompareWrite:
		d.step.Lock()
		defer d.step.Unlock()
		if err = j.compare(); err == nil {
			err = d.pwrite(q.With, q.Offset)
		}
	}
	if err == nil && q.Flags&blockdev.FUA != 0 && q.Op.Writes() {
		err = datasync(d.fd)
	}
	if err != nil {
		return status(q.Op, err), 0
	}
	return blockdev.OK, q.Length
}

// each reads or writes the buffers of q, but for their first bytes.
func (d *Device) each(q *blockdev.Request, from int64) error {
	var one [1][]byte
	at := q.Offset
	for _, b := range q.Vector(&one) {
		skip := min(from, int64(len(b)))
		from -= skip
		err := error(nil)
		if q.Op == blockdev.Read {
			err = d.pread(b[skip:], at+skip)
		} else {
			err = d.pwrite(b[skip:], at+skip)
		}
		if err != nil {
			return err
		}
		at += int64(len(b))
	}
	return nil
}

func (d *Device) pread(b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pread(d.fd, b, at)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return io.ErrUnexpectedEOF // somebody has cut the file
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

func (d *Device) pwrite(b []byte, at int64) error {
	for len(b) > 0 {
		n, err := unix.Pwrite(d.fd, b, at)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// scratchSize is how much is read at a time in order to compare.
const scratchSize = 128 << 10

// compare reads the range, and compares it with the buffers if there are some.
func (j *job) compare() error {
	if j.scratch == nil {
		j.scratch = blockdev.Alloc(scratchSize, max(4096, j.d.info.BlockSize))
	}
	var one [1][]byte
	bufs, done := j.q.Vector(&one), 0 // done: bytes of bufs[0]
	for at, end := j.q.Offset, j.q.Offset+j.q.Length; at < end; {
		b := j.scratch[:min(scratchSize, end-at)]
		if err := j.d.pread(b, at); err != nil {
			return err
		}
		at += int64(len(b))
		for len(b) > 0 && j.q.Op != blockdev.Verify {
			n := min(len(b), len(bufs[0])-done)
			if !bytes.Equal(b[:n], bufs[0][done:][:n]) {
				return blockdev.StatusCompareFailure
			}
			b = b[n:]
			if done += n; done == len(bufs[0]) {
				bufs, done = bufs[1:], 0
			}
		}
	}
	return nil
}

// The ways to write zeroes, the best first.
const (
	zeroRange = iota
	punchHole
	plainZeroes
)

var zeroes = blockdev.Alloc(scratchSize, 65536)

func (d *Device) writeZeroes(at, length int64) error {
	for way := d.zero.Load(); ; way++ {
		switch way {
		case zeroRange:
			if err := zero(d.fd, at, length); !unsupported(err) {
				return err
			}
		case punchHole:
			if d.info.Features&blockdev.DeallocateZeroes == 0 {
				break
			}
			if err := punch(d.fd, at, length); !unsupported(err) {
				return err
			}
		default:
			for ; length > 0; at, length = at+scratchSize, length-scratchSize {
				if err := d.pwrite(zeroes[:min(length, scratchSize)], at); err != nil {
					return err
				}
			}
			return nil
		}
		d.zero.Store(way + 1)
	}
}

func unsupported(err error) bool {
	return errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENODEV)
}

// status translates an error.
func status(op blockdev.Op, err error) blockdev.Status {
	if err == nil {
		return blockdev.OK
	}
	if st, ok := errors.AsType[blockdev.Status](err); ok {
		return st
	}
	no, ok := errors.AsType[syscall.Errno](err)
	if !ok {
		return blockdev.StatusReadError
	}
	switch no {
	case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
		return blockdev.StatusFull
	case unix.EROFS, unix.EBADF:
		return blockdev.StatusReadOnly
	case unix.EPERM, unix.EACCES:
		return blockdev.StatusAccessDenied
	case unix.EINVAL:
		return blockdev.StatusInvalidField
	case unix.EOPNOTSUPP:
		return blockdev.StatusInvalidOp
	case unix.EIO, unix.ENXIO, unix.ENODATA:
		if op.Writes() || op == blockdev.Flush {
			return blockdev.StatusWriteFault
		}
		return blockdev.StatusReadError
	}
	return blockdev.StatusInternal
}
