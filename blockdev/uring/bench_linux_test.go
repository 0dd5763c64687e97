package uring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/blockdev"
)

const (
	benchSize  = 64 << 20
	benchBlock = 4096
)

// places are where the files of the benchmarks lie.
var places = []struct {
	name, dir string
	direct    bool
}{{"shm", "/dev/shm", false}, {"disk", "", false}, {"direct", "", true}}

func benchFile(b *testing.B, dir string, cfg Config) *Device {
	b.Helper()
	if dir == "" {
		dir = b.TempDir()
	} else {
		d, err := os.MkdirTemp(dir, "lockify")
		if err != nil {
			b.Skip(err)
		}
		b.Cleanup(func() { _ = os.RemoveAll(d) })
		dir = d
	}
	cfg.Path = newFile(b, dir, 0)
	if err := os.WriteFile(cfg.Path, make([]byte, benchSize), 0o600); err != nil {
		b.Fatal(err)
	}
	d, err := Open(cfg)
	if err != nil {
		b.Skip(err)
	}
	if err := datasync(d.fd); err != nil { // or the kernel does it during the measurement
		b.Fatal(err)
	}
	return d
}

func benchOffset(i int) int64 {
	return int64(uint64(i)*0x9E3779B97F4A7C15>>20%(benchSize/benchBlock)) * benchBlock
}

// cpu starts the measurement; what it returns ends it. It reports the processor's time
// for each request, too, since that of the clock says little on a busy machine.
func cpu(b *testing.B) (stop func()) {
	used := func() int64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op")
	}
}

// BenchmarkRing is to be compared with BenchmarkRaw: the ring's price.
func BenchmarkRing(b *testing.B) {
	for _, noRing := range []bool{false, true} {
		for _, at := range places {
			for _, op := range []blockdev.Op{blockdev.Read, blockdev.Write} {
				for _, depth := range []int{1, 32, 128} {
					name := fmt.Sprintf("uring/%s/%v/%d", at.name, op, depth)
					if noRing {
						name = fmt.Sprintf("pool/%s/%v/%d", at.name, op, depth)
					}
					b.Run(name, func(b *testing.B) {
						benchRing(b, benchFile(b, at.dir, Config{Direct: at.direct, NoRing: noRing}), op, depth)
					})
				}
			}
		}
	}
}

func benchRing(b *testing.B, d *Device, op blockdev.Op, depth int) {
	ctx := context.Background()
	memory := blockdev.Alloc(depth*benchBlock, benchBlock)
	r, err := d.NewRing(ctx, blockdev.RingConfig{Depth: depth, Buffers: [][]byte{memory}})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := errors.Join(r.Close(), d.Close()); err != nil {
			b.Error(err)
		}
	}()
	b.SetBytes(benchBlock)
	b.ReportAllocs()
	defer cpu(b)()
	sent := 0
	for done := 0; done < b.N; {
		for ; sent < b.N; sent++ {
			s := r.GetSQE()
			if s == nil {
				break
			}
			s.Op, s.Offset, s.Buf = op, benchOffset(sent), memory[sent%depth*benchBlock:][:benchBlock]
		}
		if _, err := r.Submit(); err != nil {
			b.Fatal(err)
		}
		if err := r.Wait(ctx, max(1, depth/4)); err != nil {
			b.Fatal(err)
		}
		for c, ok := r.Peek(); ok; c, ok = r.Peek() {
			if c.Status != blockdev.OK {
				b.Fatal(c.Status)
			}
			done++
		}
	}
}

// BenchmarkRaw is the kernel's io_uring with nothing above it, and pread and pwrite.
func BenchmarkRaw(b *testing.B) {
	for _, at := range places {
		for _, op := range []blockdev.Op{blockdev.Read, blockdev.Write} {
			for _, depth := range []int{1, 32, 128} {
				b.Run(fmt.Sprintf("uring/%s/%v/%d", at.name, op, depth), func(b *testing.B) {
					benchKernel(b, benchFile(b, at.dir, Config{Direct: at.direct}), op, depth)
				})
			}
			b.Run(fmt.Sprintf("pread/%s/%v/1", at.name, op), func(b *testing.B) {
				d := benchFile(b, at.dir, Config{Direct: at.direct})
				buf := blockdev.Alloc(benchBlock, benchBlock)
				call := unix.Pread
				if op == blockdev.Write {
					call = unix.Pwrite
				}
				b.SetBytes(benchBlock)
				used := cpu(b)
				for i := range b.N {
					if _, err := call(d.fd, buf, benchOffset(i)); err != nil {
						b.Fatal(err)
					}
				}
				used()
				if err := d.Close(); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
