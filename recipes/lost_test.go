package recipes

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
)

// restarted gives the lockspace of a client, and restart, which ends its node, so that all
// locks are lost, and gives the lockspace at the next one.
func restarted(t *testing.T) (space *lockify.Lockspace, restart func() *lockify.Lockspace) {
	t.Helper()
	ctx, addr := testContext(t), "unix://"+filepath.Join(t.TempDir(), "c")
	start := func() *lockify.Node {
		n, err := lockify.StartNode(ctx, lockify.Config{
			ID: 1, Clients: []string{addr}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { n.Close(ctx) })
		return n
	}
	open := func(n interface {
		Open(context.Context, string, ...lockify.SpaceOption) (*lockify.Lockspace, error)
	}) *lockify.Lockspace {
		s, err := n.Open(ctx, "recipes")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	n := start()
	c, err := lockify.Dial(ctx, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	space = open(c)
	return space, func() *lockify.Lockspace {
		n.Close(ctx)
		next := open(start())
		for { // until the client has noticed, and has a session with the next one
			l, err := space.Lock(ctx, "probe", lockify.NL)
			if err == nil {
				err = l.Unlock(ctx)
			}
			if err == nil {
				return next
			}
			if !errors.Is(err, lockify.ErrLost) {
				t.Fatal(err)
			}
		}
	}
}

// TestMutexUnlockOfLost: who has lost a mutex does not unlock that of the next holder.
func TestMutexUnlockOfLost(t *testing.T) {
	type mutex interface {
		Lock(context.Context) error
		TryLock(context.Context) error
		Unlock(context.Context) error
	}
	for name, make := range map[string]func(*lockify.Lockspace) mutex{
		"mutex":  func(s *lockify.Lockspace) mutex { return NewMutex(s, "name") },
		"writer": func(s *lockify.Lockspace) mutex { return NewRWMutex(s, "name") },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			expect := func(what string, err, want error) {
				t.Helper()
				if !errors.Is(err, want) {
					t.Fatalf("%s: error %v, want %v", what, err, want)
				}
			}
			space, restart := restarted(t)
			m := make(space)
			expect("Lock", m.Lock(ctx), nil)
			other := make(restart())
			taken := func() { // waits until somebody else has it
				for err := other.TryLock(ctx); !errors.Is(err, lockify.ErrWouldBlock); err = other.TryLock(ctx) {
					expect("TryLock of another program", err, nil)
					expect("its Unlock", other.Unlock(ctx), nil)
					runtime.Gosched()
				}
			}
			soon, cancel := context.WithCancel(ctx)
			second := lock(soon, m)
			taken()
			cancel()
			expect("Lock before the first holder's Unlock", <-second, context.Canceled)
			expect("Lock of another program", other.Lock(ctx), nil)
			expect("Unlock of another program", other.Unlock(ctx), nil)
			expect("TryLock before the first holder's Unlock", m.TryLock(ctx), lockify.ErrWouldBlock)
			second = lock(ctx, m)
			taken()
			expect("Unlock of the first holder", m.Unlock(ctx), lockify.ErrLost)
			expect("Lock of the second holder", <-second, nil)
			expect("TryLock of another program", other.TryLock(ctx), lockify.ErrWouldBlock)
			expect("Unlock of the second holder", m.Unlock(ctx), nil)
			expect("Lock of another program", other.Lock(ctx), nil)
		})
	}
}

// lock locks m beside the test.
func lock(ctx context.Context, m interface{ Lock(context.Context) error }) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- m.Lock(ctx) }()
	return ch
}

// gate lets through what a node sends, or holds it up.
type gate struct {
	mu   sync.Mutex
	turn *sync.Cond
	shut bool
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.turn.Broadcast()
}

// Write waits until the gate is open.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.shut {
		g.turn.Wait()
	}
	return len(p), nil
}

// gated gives the address of a way to addr with a gate, for one connection.
func gated(t *testing.T, addr string) (string, *gate) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	g := &gate{}
	g.turn = sync.NewCond(&g.mu)
	go func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		node, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer node.Close()
		go io.Copy(node, client)
		io.Copy(io.MultiWriter(g, client), node)
	}()
	return l.Addr().String(), g
}

// endsAt is a context that ends when somebody waits for its end for the n-th time. No answer
// comes from when an operation begins until somebody waits.
type endsAt struct {
	context.Context
	gate   *gate
	n      int
	cancel func()
}

func (c *endsAt) Err() error {
	c.gate.set(true)
	return c.Context.Err()
}

func (c *endsAt) Done() <-chan struct{} {
	c.n--
	if c.n == 0 {
		c.cancel()
	} else if c.n > 0 {
		c.gate.set(false)
	}
	return c.Context.Done()
}

// TestCampaignWithdrawn: a campaign whose context ends leaves nothing, wherever it was.
func TestCampaignWithdrawn(t *testing.T) {
	ctx := testContext(t)
	n, err := lockify.StartNode(ctx, lockify.Config{
		ID: 1, Clients: []string{"tcp://127.0.0.1:0"}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(ctx) })
	addr, gate := gated(t, strings.TrimPrefix(n.ClientAddrs()[0].String(), "tcp://"))
	c, err := lockify.Dial(ctx, "tcp://"+addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	here, err := n.Open(ctx, "recipes")
	if err != nil {
		t.Fatal(err)
	}
	space, err := c.Open(ctx, "recipes")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{context.Canceled, context.Canceled, nil} { // in Lock, in Convert, in neither
		soon, cancel := context.WithCancel(ctx)
		leadership, err := NewElection(space, "chief").Campaign(&endsAt{soon, gate, i + 1, cancel}, []byte("x"))
		cancel()
		gate.set(false)
		if !errors.Is(err, want) {
			t.Fatalf("the end of the context at wait %d: error %v, want %v", i+1, err, want)
		}
		if err == nil {
			if err := leadership.Unlock(ctx); err != nil {
				t.Fatal(err)
			}
		}
		late, cancel := context.WithTimeout(ctx, 30*time.Second)
		l, err := here.Lock(late, "chief", lockify.EX)
		cancel()
		if err != nil {
			t.Fatalf("after the end of the context at wait %d: %v", i+1, err)
		}
		if err := l.Unlock(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
