package target

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
	"github.com/lockify-dlm/lockify/blockdev/nvme/tcp"
)

// Config says how a server shall be. The zero value is good.
type Config struct {
	// MaxConnections bounds the connections at a time; 0 stands for 1024.
	MaxConnections int
	// Spin is how long a connection looks for more input before it lets its goroutine
	// sleep: a core is spent for latency. 0: not at all.
	Spin time.Duration
	// Log is told of connections that end badly; nil: nobody is.
	Log *slog.Logger
}

// Server is a target that hosts reach over TCP.
type Server struct {
	cfg   Config
	start time.Time

	// mu: an Exclusive session is used with the lock, others share it.
	mu     sync.RWMutex
	target *core.Target
	conns  map[*conn]struct{}
	closed bool
	nextID uint16

	listeners []listener
	served    int // listeners, from the first one on
	stop      chan struct{}
	done      sync.WaitGroup
}

// New makes a server without subsystems and addresses.
func New(cfg Config) (*Server, error) {
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 1024
	}
	if cfg.MaxConnections < 0 || cfg.Spin < 0 {
		return nil, fmt.Errorf("nvme target: %d connections, spinning %v: must not be negative", cfg.MaxConnections, cfg.Spin)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		cfg: cfg, start: time.Now(), target: core.New(), conns: map[*conn]struct{}{}, stop: make(chan struct{}),
	}
	s.done.Add(1)
	go s.tick()
	return s, nil
}

// tickEvery is how often the target is told the time.
const tickEvery = 250 * time.Millisecond

func (s *Server) tick() {
	defer s.done.Done()
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.mu.Lock()
			s.target.Tick(uint64(time.Since(s.start).Milliseconds()))
			s.mu.Unlock()
		}
	}
}

// Subsystem describes what AddSubsystem adds.
type Subsystem struct {
	core.SubsystemConfig
	Namespaces []core.NamespaceConfig
	// State is a directory where reservations are kept; empty: they end with the
	// server. It is used in place of SubsystemConfig.Store.
	State string
}

// AddSubsystem adds a subsystem with its namespaces. The devices are the caller's, and stay
// open until Close has returned.
func (s *Server) AddSubsystem(cfg Subsystem) error {
	if cfg.State != "" {
		cfg.Store = &stateDir{dir: cfg.State}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, err := s.target.AddSubsystem(cfg.SubsystemConfig)
	if err != nil {
		return err
	}
	for _, n := range cfg.Namespaces {
		if _, err := sub.AddNamespace(n); err != nil {
			return err
		}
	}
	return nil
}

type listener struct {
	net.Listener
	port *core.Port
}

// Listen is Bind, and serves the address at once: the subsystems should be there.
func (s *Server) Listen(ctx context.Context, address, advertise string) (*core.Port, net.Addr, error) {
	p, addr, err := s.Bind(ctx, address, advertise)
	if err == nil {
		s.Start()
	}
	return p, addr, err
}

// Bind opens an address, such as 127.0.0.1:4420, where hosts can connect; with port 0
// the system picks one. They are served from Start on. advertise is the IP address that hosts are told by discovery; empty:
// that of the address, unless it stands for all of this machine.
func (s *Server) Bind(ctx context.Context, address, advertise string) (*core.Port, net.Addr, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	tcp, ok := ln.Addr().(*net.TCPAddr)
	if !ok {
		_ = ln.Close()
		return nil, nil, fmt.Errorf("nvme target: %s is no TCP address", address)
	}
	ip := tcp.IP
	if advertise != "" {
		if ip = net.ParseIP(advertise); ip == nil {
			_ = ln.Close()
			return nil, nil, fmt.Errorf("nvme target: %q is no IP address", advertise)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = ln.Close()
		return nil, nil, blockdev.ErrClosed
	}
	s.nextID++
	p := &core.Port{ID: s.nextID, Service: strconv.Itoa(tcp.Port)}
	if !ip.IsUnspecified() {
		p.Address, p.IPv6 = ip.String(), ip.To4() == nil
	}
	if err := s.target.AddPort(p); err != nil {
		_ = ln.Close()
		return nil, nil, err
	}
	s.listeners = append(s.listeners, listener{ln, p})
	return p, ln.Addr(), nil
}

// Start serves hosts at all addresses that are open: add subsystems before, so that none
// is told that there is no such thing.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, ln := range s.listeners[s.served:] {
		s.done.Add(1)
		go func() {
			defer s.done.Done()
			s.accept(ln)
		}()
	}
	s.served = len(s.listeners)
}

func (s *Server) accept(ln listener) {
	for {
		nc, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.cfg.Log.Warn("nvme target: accept", "error", err)
			if !s.pause() {
				return
			}
		default:
			s.add(nc, ln.port)
		}
	}
}

// pause waits after a failed accept, such as for want of descriptors; false: the server
// closes.
func (s *Server) pause() bool {
	select {
	case <-s.stop:
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

// add begins a connection.
func (s *Server) add(nc net.Conn, p *core.Port) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= s.cfg.MaxConnections {
		s.cfg.Log.Warn("nvme target: connection refused", "peer", nc.RemoteAddr(), "connections", len(s.conns))
		_ = nc.Close()
		return
	}
	err := tcp.Prepare(nc)
	var c *conn
	if err == nil {
		c, err = newConn(s, nc, p)
	}
	if err != nil {
		s.cfg.Log.Warn("nvme target: connection", "peer", nc.RemoteAddr(), "error", err)
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.done.Add(1)
	go func() {
		defer s.done.Done()
		c.serve()
	}()
}

// SetANA sets how a port reaches a group of namespaces.
func (s *Server) SetANA(p *core.Port, group uint32, state nvme.ANAState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target.SetANA(p, group, state)
}

// Close ends all connections, and returns when no device is used any more.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.stop)
	var errs []error
	for _, ln := range s.listeners {
		errs = append(errs, ln.Close())
	}
	s.target.Shutdown()
	s.mu.Unlock()
	s.done.Wait()
	return errors.Join(errs...)
}
