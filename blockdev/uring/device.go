package uring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/blockdev"
)

// Config says what to open, and how.
type Config struct {
	Path      string // a regular file or a block device
	BlockSize int    // bytes; 0: that of the block device; of a file 512, with Direct 4096
	ReadOnly  bool
	Direct    bool // bypass the page cache (O_DIRECT)
	Workers   int  // at most so many calls of pread and the like at a time; 0: 8
	NoRing    bool // do without io_uring
}

// Device is an open file or block device.
type Device struct {
	info   blockdev.Info
	file   *os.File
	fd     int
	why    error // why there is no io_uring; nil: there is
	pool   pool
	zero   atomic.Int32 // what has worked for WriteZeroes
	step   sync.Mutex   // a CompareWrite
	closed atomic.Bool
}

// Open opens what cfg says.
func Open(cfg Config) (*Device, error) {
	flag := os.O_RDWR
	if cfg.ReadOnly {
		flag = os.O_RDONLY
	}
	if cfg.Direct {
		if directFlag == 0 {
			return nil, fmt.Errorf("blockdev/uring: %s: this system can't bypass the page cache", cfg.Path)
		}
		flag |= directFlag
	}
	file, err := os.OpenFile(cfg.Path, flag, 0)
	if err != nil {
		return nil, fmt.Errorf("blockdev/uring: %w", err)
	}
	d := &Device{file: file, fd: int(file.Fd())}
	if err := d.describe(cfg); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	d.pool.start(cfg.Workers)
	if cfg.NoRing {
		d.why = errors.New("the configuration says so")
	} else {
		d.why = probe()
	}
	return d, nil
}

// describe fills in what Info says.
func (d *Device) describe(cfg Config) error {
	st, err := d.file.Stat()
	if err != nil {
		return fmt.Errorf("blockdev/uring: %w", err)
	}
	block := 512
	switch {
	case st.Mode().IsRegular():
		if cfg.Direct {
			block = 4096
		}
	case st.Mode()&fs.ModeDevice != 0 && st.Mode()&fs.ModeCharDevice == 0:
		if block, err = blockSize(d.fd); err != nil {
			return fmt.Errorf("blockdev/uring: %s: block size: %w", cfg.Path, err)
		}
	default:
		return fmt.Errorf("blockdev/uring: %s: neither a regular file nor a block device", cfg.Path)
	}
	if cfg.BlockSize != 0 {
		block = cfg.BlockSize
	}
	size, err := d.file.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("blockdev/uring: %w", err)
	}
	if block > 0 {
		size -= size % int64(block)
	}
	align := 0
	if cfg.Direct {
		align = block
	}
	d.info = blockdev.Info{
		BlockSize:     block,
		Size:          size,
		MaxTransfer:   maxTransfer / block * block,
		VolatileCache: true,
		BufferAlign:   align,
		ReadOnly:      cfg.ReadOnly,
		Features: blockdev.HasWriteZeroes | blockdev.HasDeallocate | blockdev.HasCompare |
			blockdev.HasCompareWrite | blockdev.HasVerify,
		Name: cfg.Path,
	}
	if st.Mode().IsRegular() && canPunch {
		d.info.Features |= blockdev.DeallocateZeroes
	}
	return d.info.Validate()
}

// maxTransfer is somewhat less than what the kernel does in one call.
const maxTransfer = 1 << 30

// Info describes the device.
func (d *Device) Info() blockdev.Info { return d.info }

// Fallback says why io_uring is not used; nil if it is.
func (d *Device) Fallback() error { return d.why }

// NewRing makes a ring. ctx is not used: nothing is waited for.
func (d *Device) NewRing(_ context.Context, cfg blockdev.RingConfig) (*blockdev.Ring, error) {
	if d.closed.Load() {
		return nil, blockdev.ErrClosed
	}
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	var b blockdev.Backend = newPoolRing(d, cfg)
	if d.why == nil {
		if b, err = newKernelRing(d, cfg); err != nil {
			return nil, fmt.Errorf("blockdev/uring: %s: %w", d.info.Name, err)
		}
	}
	return blockdev.NewRing(d.info, cfg, b)
}

// Close closes the file. Close the rings first.
func (d *Device) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	d.pool.stop()
	return d.file.Close()
}
