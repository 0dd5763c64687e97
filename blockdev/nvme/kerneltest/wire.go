package kerneltest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Wire is the way from the guest to an address of this machine. It can be cut.
type Wire struct {
	// Port is the port that stands for the address at 10.0.2.2, as the guest sees it.
	Port int

	ln  net.Listener
	to  string
	all sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // both sides of each connection
	cut  bool
}

// NewWire lays a wire. It ends with the test.
func NewWire(t testing.TB, to string) *Wire {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{Port: ln.Addr().(*net.TCPAddr).Port, ln: ln, to: to, open: map[net.Conn]bool{}}
	w.all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w.all.Go(func() { w.connect(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		w.Cut()
		w.all.Wait()
	})
	return w
}

// Cut ends all connections, and each further one at once, until Mend.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for c := range w.open {
		c.Close()
	}
}

// Mend lets connections through again.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = false
}

// take keeps a connection for Cut, or closes it.
func (w *Wire) take(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		c.Close()
		return false
	}
	w.open[c] = true
	return true
}

func (w *Wire) drop(c net.Conn) {
	c.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, c)
}

// connect passes bytes both ways until one side ends.
func (w *Wire) connect(a net.Conn) {
	if !w.take(a) {
		return
	}
	defer w.drop(a)
	b, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.to)
	if err != nil || !w.take(b) {
		return
	}
	defer w.drop(b)
	w.all.Go(func() {
		defer b.Close()
		_, _ = io.Copy(b, a) // how a side ends does not matter
	})
	_, _ = io.Copy(a, b)
}
