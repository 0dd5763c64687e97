package engine

import (
	"fmt"
	"io"
	"sync"
)

// readBufSize is the read buffer of a connection at rest, in bytes: a few
// hundred messages. It grows while a larger frame is being assembled.
const readBufSize = 32 << 10

var readBufs = sync.Pool{New: func() any { return new([readBufSize]byte) }}

// linearReader is the Reader of transports that read into a buffer of their
// own: buf[r:w] is received and not consumed.
type linearReader struct {
	buf   []byte
	r, w  int
	small *[readBufSize]byte // the pooled buffer; buf while nothing large is under way
}

func newLinearReader() *linearReader {
	small := readBufs.Get().(*[readBufSize]byte)
	return &linearReader{buf: small[:], small: small}
}

func (l *linearReader) Len() int { return l.w - l.r }

func (l *linearReader) Next(n int) ([]byte, error) {
	if n < 0 || n > l.Len() {
		return nil, ErrShort
	}
	b := l.buf[l.r : l.r+n : l.r+n]
	l.r += n
	return b, nil
}

func (l *linearReader) Release() {}

// room makes space for the next read; no slice is out any more.
func (l *linearReader) room() error {
	switch {
	case l.r == l.w:
		l.r, l.w = 0, 0
		if len(l.buf) > readBufSize {
			l.buf = l.small[:]
		}
	case l.w < len(l.buf):
	case l.r > len(l.buf)/2:
		l.w = copy(l.buf, l.buf[l.r:l.w])
		l.r = 0
	case len(l.buf) >= maxReadAhead:
		return fmt.Errorf("%w: %d bytes", ErrReadAhead, l.Len())
	default:
		bigger := make([]byte, 2*len(l.buf))
		l.w = copy(bigger, l.buf[l.r:l.w])
		l.r = 0
		l.buf = bigger
	}
	return nil
}

func (l *linearReader) free() {
	readBufs.Put(l.small)
	l.buf, l.small = nil, nil
}

// readLoop reads src for c until an error, which it returns.
func readLoop(c Conn, src io.Reader, h Handler) error {
	r := newLinearReader()
	defer r.free()
	for {
		if err := r.room(); err != nil {
			return err
		}
		n, err := src.Read(r.buf[r.w:])
		if n > 0 {
			r.w += n
			if err := h.OnData(c, r); err != nil {
				return err
			}
		}
		if err != nil {
			if err == io.EOF && r.Len() > 0 {
				return fmt.Errorf("%w: %d bytes of an incomplete frame", io.ErrUnexpectedEOF, r.Len())
			}
			return err
		}
	}
}
