package shm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// seals keep the size as it is, and the seals.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Create makes memory for two rings of size bytes each, and gives the node's end of
// them and the file to hand to the client, which the caller closes.
func Create(size int) (e *End, file *os.File, err error) {
	if err := checkSize(size); err != nil {
		return nil, nil, err
	}
	fd, err := unix.MemfdCreate("lockify-ring", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("shm: memfd_create: %w", err)
	}
	file = os.NewFile(uintptr(fd), "lockify-ring")
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := unix.Ftruncate(fd, int64(Bytes(size))); err != nil {
		return nil, nil, fmt.Errorf("shm: %d bytes: %w", Bytes(size), err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return nil, nil, fmt.Errorf("shm: seals: %w", err)
	}
	if e, err = mapEnd(fd, size, true); err != nil {
		return nil, nil, err
	}
	return e, file, nil
}

// Open gives the client's end of what Create has made. It does not close file.
// Errors: ErrSize, also for memory that is not sealed.
func Open(file *os.File, size int) (*End, error) {
	if err := checkSize(size); err != nil {
		return nil, err
	}
	fi, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("shm: %w", err)
	}
	if fi.Size() != int64(Bytes(size)) {
		return nil, fmt.Errorf("%w: %d bytes of memory for two rings of %d, want %d", ErrSize, fi.Size(), size, Bytes(size))
	}
	got, err := unix.FcntlInt(file.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("shm: seals: %w", err)
	}
	if got&seals != seals {
		return nil, fmt.Errorf("%w: seals %#x, want %#x: it may change", ErrSize, got, seals)
	}
	return mapEnd(int(file.Fd()), size, false)
}

func mapEnd(fd, size int, node bool) (*End, error) {
	mem, err := unix.Mmap(fd, 0, Bytes(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("shm: mmap: %w", err)
	}
	return NewEnd(mem, size, node)
}

// Unmap gives back the memory of an end of Create or Open; nobody may use it any more.
func (e *End) Unmap() error {
	if err := unix.Munmap(e.mem); err != nil {
		return fmt.Errorf("shm: munmap: %w", err)
	}
	return nil
}
