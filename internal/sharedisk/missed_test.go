package sharedisk_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/internal/sharedisk"
)

// detour gives an address behind which addr is; before the first connection it calls first.
func detour(t *testing.T, addr string, first func()) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for once := new(sync.Once); ; {
			in, err := l.Accept()
			if err != nil {
				return
			}
			once.Do(first)
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
				wg.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					way[0].Close()
				})
			}
		}
	})
	return l.Addr().String()
}

// TestBarredMeanwhile: a node that is barred at one disk while it registers at the next one hears of it.
func TestBarredMeanwhile(t *testing.T) {
	_, addr := serve(t, "127.0.0.1:0", t.TempDir())
	_, last := serve(t, "127.0.0.1:0", t.TempDir())
	a := newSet(t, addr)
	mustRegister(t, a, one, nil)
	last = detour(t, last, func() {
		if err := a.Bar(t.Context(), two); err != nil {
			t.Error(err)
		}
	})
	b := sharedisk.New([]sharedisk.Disk{{Addr: addr, NQN: nqn}, {Addr: last, NQN: nqn}}, slog.New(slog.DiscardHandler))
	t.Cleanup(b.Close)
	gone := make(chan error, 1)
	mustRegister(t, b, two, func(err error) { gone <- err })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case <-gone:
	case <-ctx.Done():
		t.Fatal("it has not heard of it")
	}
}
