package engine

import (
	"io"
	"syscall"
)

// rawReader reads a non-blocking descriptor and lets Go's event loop wait for it.
// Unlike net it never tells the scheduler that a system call may take long: each
// of those wakes the thread that looks for calls which do, every 20 us for a
// millisecond. That took a fifth of a daemon's time.
type rawReader struct {
	conn syscall.RawConn
	try  func(fd uintptr) bool
	buf  []byte
	n    int
	err  error
}

func newRawReader(conn syscall.RawConn) *rawReader {
	r := &rawReader{conn: conn}
	r.try = func(fd uintptr) (done bool) {
		r.n, done, r.err = readNow(int(fd), r.buf)
		return done
	}
	return r
}

func (r *rawReader) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	r.buf = b
	err := r.conn.Read(r.try)
	r.buf = nil
	switch {
	case err != nil:
		return 0, err
	case r.err == nil && r.n == 0:
		return 0, io.EOF
	}
	return r.n, r.err
}
