package etcd

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy stands between a node and etcd, so that it can be cut off.
type proxy struct {
	addr string
	l    net.Listener

	mu    sync.Mutex
	cut   bool
	hangs chan struct{} // nil: nothing does; closed when it goes on
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String(), l: l, conns: map[net.Conn]bool{}}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c, to) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.drop()
		p.wg.Wait()
	})
	return p
}

// keep notes a connection, false: there are to be none.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.cut {
		p.conns[c] = true
	}
	return !p.cut
}

func (p *proxy) serve(c net.Conn, to string) {
	defer c.Close()
	up, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer up.Close()
	if !p.keep(c) || !p.keep(up) {
		return
	}
	p.wg.Go(func() {
		_, _ = io.Copy(up, hanging{p, c}) // ends with either
		up.Close()
	})
	_, _ = io.Copy(c, hanging{p, up})
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	delete(p.conns, up)
}

// hanging reads from a connection, and keeps what it has read while the proxy hangs.
type hanging struct {
	p *proxy
	net.Conn
}

func (h hanging) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.p.mu.Lock()
	hangs := h.p.hangs
	h.p.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	return n, err
}

// hang lets nothing through, and keeps connections, until goOn is called.
func (p *proxy) hang() (goOn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hangs := make(chan struct{})
	p.hangs = hangs
	return func() {
		p.mu.Lock()
		p.hangs = nil
		p.mu.Unlock()
		close(hangs)
	}
}

// drop ends all connections.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) setCut(cut bool) {
	p.mu.Lock()
	p.cut = cut
	p.mu.Unlock()
	if cut {
		p.drop()
	}
}
