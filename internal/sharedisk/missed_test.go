package sharedisk_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lockify-dlm/lockify/internal/sharedisk"
)

// detour gives an address behind which addr is, for those connections that pass lets through.
func detour(t *testing.T, addr string, pass func() bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if !pass() {
				in.Close()
				continue
			}
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
	var once sync.Once
	last = detour(t, last, func() bool {
		once.Do(func() {
			if err := a.Bar(t.Context(), two); err != nil {
				t.Error(err)
			}
		})
		return true
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

// TestLookFails: a node that is barred while it cannot look at its registration hears of it later.
func TestLookFails(t *testing.T) {
	_, addr := serve(t, "127.0.0.1:0", t.TempDir())
	a := newSet(t, addr)
	mustRegister(t, a, one, nil)
	var refuse atomic.Bool
	refused := make(chan struct{}, 100)
	b := newSet(t, detour(t, addr, func() bool {
		if refuse.Load() {
			refused <- struct{}{}
		}
		return !refuse.Load()
	}))
	gone := make(chan error, 1)
	mustRegister(t, b, two, func(err error) { gone <- err })
	refuse.Store(true) // what is there stays, such as the admin queue
	if err := a.Bar(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 2 { // it looks when it has registered, and when it is told of the bar
		select {
		case <-refused:
		case <-ctx.Done():
			t.Fatal("it does not look again")
		}
	}
	refuse.Store(false)
	select {
	case <-gone:
	case <-ctx.Done():
		t.Fatal("it has not heard of it")
	}
}
