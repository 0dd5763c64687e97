package soak

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// proxy is between hosts and target. It breaks connections, in the midst of anything, and
// may turn bits over.
type proxy struct {
	ln   net.Listener
	to   string
	flip bool
	mean int64        // bytes from harm to harm, on average
	calm atomic.Bool  // no harm now
	cuts atomic.Int64 // connections broken
	bits atomic.Int64 // turned over
	wg   sync.WaitGroup

	mu   sync.Mutex
	idle sync.Cond // no connection is open
	open int       // connections
}

func newProxy(to string, flip bool, mean int64) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{ln: ln, to: to, flip: flip, mean: mean}
	p.idle.L = &p.mu
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.count(1)
			p.wg.Go(func() {
				defer p.count(-1)
				p.pass(c.(*net.TCPConn))
			})
		}
	})
	return p, nil
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

// settled returns when the target has let go of all connections; the hosts must have.
func (p *proxy) settled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.open > 0 {
		p.idle.Wait()
	}
}

func (p *proxy) count(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open += n; p.open == 0 {
		p.idle.Broadcast()
	}
}

func (p *proxy) close() {
	p.ln.Close()
	p.wg.Wait()
}

// pass is one connection. To the target it ends in good order, and what it has sent is
// waited for; to the host it is cut.
func (p *proxy) pass(a *net.TCPConn) {
	c, err := net.Dial("tcp", p.to)
	if err != nil {
		a.Close()
		return
	}
	b := c.(*net.TCPConn)
	defer b.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		p.copy(b, a)
		b.CloseWrite()
	})
	p.copy(a, b)
	_ = a.SetLinger(0)
	a.Close()
	buf := make([]byte, 64<<10)
	for _, err := b.Read(buf); err == nil; {
		_, err = b.Read(buf)
	}
	wg.Wait()
}

// spare is how many bytes of a connection are passed on as they are: its first PDUs have no
// digests.
const spare = 8 << 10

// copy passes on what comes, until the end or a cut.
func (p *proxy) copy(to, from *net.TCPConn) {
	buf := make([]byte, 64<<10)
	left := p.budget() + spare
	for {
		n, err := from.Read(buf)
		b := buf[:n]
		if left -= int64(n); left <= 0 && !p.calm.Load() {
			if !p.flip || rand.IntN(2) == 0 {
				p.cuts.Add(1)
				_, _ = to.Write(b[:rand.IntN(n+1)])
				return
			}
			p.bits.Add(1)
			b[rand.IntN(n)] ^= 1 << rand.IntN(8)
			left = p.budget()
		}
		if _, werr := to.Write(b); err != nil || werr != nil {
			return
		}
	}
}

// budget is how many bytes pass without harm.
func (p *proxy) budget() int64 { return int64(rand.ExpFloat64() * float64(p.mean)) }
