package engine

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// A handshake of TLS takes a processor for most of a millisecond at each end, and whoever fails and comes
// again at once would have it for nothing, at the cost of those who have a session. So who
// comes from where a connection has just been good for nothing waits before his handshake: for
// penaltyStep behind each such connection, for penaltyMost at most. That is what sshd
// calls PerSourcePenalties. Others from the same host wait as well, but they get in.
const (
	penaltyStep  = 50 * time.Millisecond
	penaltyMost  = 500 * time.Millisecond
	penaltyHosts = 4096 // known at a time; they are forgotten when they need not wait any more
)

// penalties say who waits. The zero value is ready.
type penalties struct {
	mu      sync.Mutex
	until   map[string]time.Time // by host
	waiting int
}

// wait waits for as long as who comes from host has to; of very many only the first maxLobby do.
func (p *penalties) wait(host string) {
	d := p.left(host, time.Now())
	if d == 0 || !p.enter() {
		return
	}
	time.Sleep(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting--
}

func (p *penalties) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting >= maxLobby {
		return false
	}
	p.waiting++
	return true
}

// add is called when a connection from host was good for nothing.
func (p *penalties) add(host string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.until == nil {
		p.until = map[string]time.Time{}
	}
	if _, known := p.until[host]; !known && len(p.until) >= penaltyHosts {
		p.forget(now)
	}
	if len(p.until) < penaltyHosts {
		p.until[host] = now.Add(min(max(p.until[host].Sub(now), 0)+penaltyStep, penaltyMost))
	}
}

// left gives how long who comes from host waits.
func (p *penalties) left(host string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.until[host].Sub(now), 0)
}

// forget removes who need not wait any more. mu is held.
func (p *penalties) forget(now time.Time) {
	for host, t := range p.until {
		if !t.After(now) {
			delete(p.until, host)
		}
	}
}

// host is where a connection comes from.
func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// fault says that a connection has ended because of what the other end sent, not because one of
// them had enough or the network broke.
func fault(err error) bool {
	var op *net.OpError
	var errno syscall.Errno
	for _, other := range []error{io.EOF, ErrClosed, ErrTimeout, context.DeadlineExceeded} {
		if errors.Is(err, other) {
			return false
		}
	}
	return err != nil && !errors.As(err, &op) && !errors.As(err, &errno)
}

// unwelcomer is a Conn whose other end may have to wait before it comes again.
type unwelcomer interface{ unwelcome() }

// Unwelcome says that the other end has asked for what it has no right to. Where coming again costs
// this end a lot, it waits before it may.
func (fc *FrameConn) Unwelcome() {
	if c, ok := fc.c.(unwelcomer); ok {
		c.unwelcome()
	}
}
