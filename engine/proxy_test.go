package engine

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// proxy forwards TCP connections and breaks each one after a random number of
// bytes, in the middle of whatever is passing, losing what it holds.
type proxy struct {
	ln     net.Listener
	target string

	mu   sync.Mutex
	rng  *rand.Rand
	max  int // bytes until a cut, at most; 0: no cuts
	cuts int
	all  map[net.Conn]struct{}
	wg   sync.WaitGroup
}

func newProxy(t testing.TB, target string, seed uint64, maxBytes int) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, target: target, rng: rand.New(rand.NewPCG(seed, 1)), max: maxBytes, all: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		ln.Close()
		p.mu.Lock()
		p.max = 0
		for c := range p.all {
			c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

// calm ends the cutting.
func (p *proxy) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.max = 0
}

func (p *proxy) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *proxy) accept() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.target)
		if err != nil {
			in.Close()
			continue
		}
		p.mu.Lock()
		p.all[in], p.all[out] = struct{}{}, struct{}{}
		p.mu.Unlock()
		p.wg.Go(func() { p.copy(in, out) })
		p.wg.Go(func() { p.copy(out, in) })
	}
}

func (p *proxy) copy(from, to net.Conn) {
	p.mu.Lock()
	cut := p.max > 0
	left := int64(1) << 62
	if cut {
		left = 200 + p.rng.Int64N(int64(p.max))
	}
	p.mu.Unlock()
	_, err := io.CopyN(to, from, left)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && cut {
		p.cuts++
		for _, c := range []net.Conn{from, to} {
			c.(*net.TCPConn).SetLinger(0) // a reset: what is buffered is lost
		}
	}
	from.Close()
	to.Close()
	delete(p.all, from)
	delete(p.all, to)
}
