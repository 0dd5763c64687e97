package engine

import (
	"errors"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Unix socket can carry an open file beside its bytes. Only connections from a
// client to a node do, and only towards the client: what anybody else sends along is
// closed by the kernel, since nobody reads it.

// filePasser is a Conn that may be able to pass a file.
type filePasser interface {
	passesFiles() bool
	// passFile has f sent with what is written next, and closed.
	passFile(f *os.File)
}

// fileWanter is a Handler that may want to receive a file on what it dials.
type fileWanter interface{ takesFiles() bool }

// fileTaker is a Conn that may be able to.
type fileTaker interface {
	takesFiles() bool
	// takeFile gives the file that has come, nil: none. No further one is taken.
	takeFile() *os.File
}

// passing is a file to be sent with the next bytes.
type passing struct {
	possible bool
	file     atomic.Pointer[os.File]
}

func (p *passing) mayPass(can bool)    { p.possible = can }
func (p *passing) passesFiles() bool   { return p.possible }
func (p *passing) passFile(f *os.File) { p.file.Store(f) }

// with sends bufs with the file, if there is one, on a non-blocking socket. done is
// false if there was none. If the socket takes no byte, the file is not sent.
func (p *passing) with(fd int, bufs [][]byte) (n int, done bool, err error) {
	f := p.file.Swap(nil)
	if f == nil {
		return 0, false, nil
	}
	defer f.Close()
	n, err = unix.SendmsgBuffers(fd, bufs, unix.UnixRights(int(f.Fd())), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		n, err = 0, nil
	}
	return max(n, 0), true, err
}

// drop closes a file that was not sent.
func (p *passing) drop() {
	if f := p.file.Swap(nil); f != nil {
		f.Close()
	}
}

// oneFile is the room for the control message that brings a file; the kernel closes
// further ones.
const oneFile = 24

// taking is what has come with bytes, as long as a file is wanted.
type taking struct {
	wanted atomic.Bool
	file   atomic.Pointer[os.File]
}

func (t *taking) mayTake(can bool) { t.wanted.Store(can) }

// keep takes the file from a control message, if there is one.
func (t *taking) keep(oob []byte) {
	if len(oob) == 0 {
		return
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // it carries something else
		}
		for _, fd := range fds {
			if old := t.file.Swap(os.NewFile(uintptr(fd), "passed")); old != nil {
				old.Close()
			}
		}
	}
}

func (t *taking) takesFiles() bool { return t.wanted.Load() }

func (t *taking) takeFile() *os.File {
	t.wanted.Store(false)
	return t.file.Swap(nil)
}

// drop closes a file that was not taken.
func (t *taking) drop() {
	if f := t.takeFile(); f != nil {
		f.Close()
	}
}
