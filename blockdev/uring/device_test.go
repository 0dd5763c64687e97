package uring

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
)

// newFile makes a file of zeroes.
func newFile(t testing.TB, dir string, size int64) string {
	t.Helper()
	path := filepath.Join(dir, "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

// openFile opens a new file; the test is skipped if it asks for what there is not here.
func openFile(t testing.TB, cfg Config, dir string) *Device {
	t.Helper()
	cfg.Path = newFile(t, dir, devtest.MinSize)
	d, err := Open(cfg)
	if cfg.Direct && (errors.Is(err, syscall.EINVAL) || runtime.GOOS != "linux") {
		t.Skip("the file system does not bypass the page cache")
	}
	if err != nil {
		t.Fatal(err)
	}
	if why := d.Fallback(); why != nil && !cfg.NoRing {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		t.Skipf("no io_uring here: %v", why)
	}
	return d
}

func TestConformance(t *testing.T) {
	for name, cfg := range map[string]Config{
		"Ring":       {},
		"RingDirect": {Direct: true},
		"Pool":       {NoRing: true, Workers: 3},
		"PoolDirect": {NoRing: true, Direct: true},
	} {
		t.Run(name, func(t *testing.T) {
			devtest.Run(t, func(t *testing.T) blockdev.Device { return openFile(t, cfg, t.TempDir()) })
		})
	}
}

// TestConformanceFault: delays and the cache of the fault device work over a device
// that does its requests elsewhere.
func TestConformanceFault(t *testing.T) {
	devtest.Run(t, func(t *testing.T) blockdev.Device {
		f, err := blockdev.NewFault(context.Background(), openFile(t, Config{}, t.TempDir()), 1, true)
		if err != nil {
			t.Fatal(err)
		}
		f.Set(blockdev.Rule{Chance: 0.2, Delay: 1})
		return f
	})
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{Path: filepath.Join(dir, "none")}, "no such file"},
		{Config{Path: os.DevNull}, "neither a regular file nor a block device"},
		{Config{Path: newFile(t, t.TempDir(), 100)}, "size 0"},
		{Config{Path: newFile(t, t.TempDir(), 1<<20), BlockSize: 1000}, "block size 1000"},
	} {
		if d, err := Open(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v %v, want %s", c.cfg, d, err, c.want)
		}
	}
}

// TestReadOnly: writes are refused before they reach the file.
func TestReadOnly(t *testing.T) {
	d := openFile(t, Config{ReadOnly: true, NoRing: true}, t.TempDir())
	defer d.Close()
	io, err := blockdev.NewIO(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer io.Close()
	if _, err := io.WriteAt(make([]byte, 512), 0); !errors.Is(err, blockdev.StatusReadOnly) {
		t.Fatal(err)
	}
}

// TestCut: a file that became shorter gives an error, not old data.
func TestCut(t *testing.T) {
	for _, noRing := range []bool{false, true} {
		d := openFile(t, Config{NoRing: noRing}, t.TempDir())
		if err := os.Truncate(d.Info().Name, 1024); err != nil {
			t.Fatal(err)
		}
		io, err := blockdev.NewIO(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAt(make([]byte, 2048), 0); !errors.Is(err, blockdev.StatusReadError) {
			t.Fatalf("without io_uring %v: %v", noRing, err)
		}
		if err := errors.Join(io.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestZeroes: each way to write zeroes works, or the next one is taken.
func TestZeroes(t *testing.T) {
	for way := range int32(plainZeroes + 1) {
		d := openFile(t, Config{NoRing: true}, t.TempDir())
		d.zero.Store(way)
		data, want := make([]byte, 1<<20), make([]byte, 1<<20)
		for i := range data {
			data[i], want[i] = 1, 1
		}
		clear(want[512 : 512+300<<10])
		io, err := blockdev.NewIO(context.Background(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		if err := d.writeZeroes(512, 300<<10); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAt(data, 0); err != nil || string(data) != string(want) {
			t.Fatalf("way %d: %v", way, err)
		}
		if err := errors.Join(io.Close(), d.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAllocations: the steady state allocates nothing.
func TestAllocations(t *testing.T) {
	for name, cfg := range map[string]Config{"Ring": {}, "Pool": {NoRing: true}} {
		t.Run(name, func(t *testing.T) {
			d := openFile(t, cfg, t.TempDir())
			defer d.Close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			buf := blockdev.Alloc(16<<10, 4096)
			r, err := d.NewRing(ctx, blockdev.RingConfig{Depth: 8, Buffers: [][]byte{buf[:4096]}})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			vector := [][]byte{buf[4096:5120], buf[8192:9216]}
			n := testing.AllocsPerRun(100, func() {
				for i := range 8 {
					s := r.GetSQE()
					switch i % 4 {
					case 0:
						s.PrepRead(4096, buf[:4096])
					case 1:
						s.PrepWritev(8192, vector)
					case 2:
						s.PrepFlush()
					case 3:
						s.PrepCompare(16384, buf[12288:])
					}
				}
				if _, err := r.Submit(); err != nil {
					t.Fatal(err)
				}
				if err := r.Wait(ctx, 8); err != nil {
					t.Fatal(err)
				}
				for range 8 {
					if c, ok := r.Peek(); !ok || c.Status != blockdev.OK {
						t.Fatal(c.Status, ok)
					}
				}
			})
			if n != 0 {
				t.Fatalf("%v allocations in 8 requests", n)
			}
		})
	}
}
