package lockify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/node"
)

// nodeEnv makes the test binary a node that serves clients at this address, with a
// lease of this length that it renews for as long as it runs: "LENGTH ADDRESS".
const nodeEnv = "LOCKIFY_TEST_NODE"

func TestMain(m *testing.M) {
	if how := os.Getenv(nodeEnv); how != "" {
		if err := leasedNode(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// leasedNode runs until it is killed.
func leasedNode(how string) error {
	text, addr, _ := strings.Cut(how, " ")
	length, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	members, err := cluster.Static(1)
	if err != nil {
		return err
	}
	t, err := node.NewTransport("plain")
	if err != nil {
		return err
	}
	n, err := node.Start(context.Background(), node.Config{
		ID: 1, Clients: []string{addr}, Transport: t, Logger: slog.New(slog.DiscardHandler),
	}, members)
	if err != nil {
		return err
	}
	n.SetLease(engine.BootTime() + int64(length))
	fmt.Println("ready")
	for range time.Tick(length / 20) {
		n.SetLease(engine.BootTime() + int64(length))
	}
	return nil
}

// startLeased runs such a node in a process of its own.
func startLeased(t *testing.T, length time.Duration, addr string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%v %s", nodeEnv, length, addr), "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the node says %q, %v", line, err)
	}
	return cmd
}

// kill ends the process, if it has not, and waits until it is gone.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func signal(t *testing.T, cmd *exec.Cmd, sig os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// A daemon is stopped for longer than its lease. The client does not hear that, and
// lets go of its locks all the same. When the daemon goes on it finds itself fenced;
// another start of it serves the client again.
func TestNodeStopped(t *testing.T) { longerLeases(t, nodeStopped) }

func nodeStopped(t *testing.T, length time.Duration) (kept bool) {
	ctx := testContext(t)
	addr := "unix://" + filepath.Join(t.TempDir(), "n.sock")
	p := startLeased(t, length, addr)
	sessions := make(chan *Session, 10)
	c, err := Dial(ctx, addr, OnSession(func(s *Session) { sessions <- s }))
	expect(t, "Dial", err, nil)
	defer c.Close()
	s, err := c.Open(ctx, "test")
	expect(t, "Open", err, nil)
	held, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	first := c.Session()
	awaitAsked(t, ctx, first, 6)
	if !held.Valid() {
		kill(p)
		return false
	}
	waits := make(chan error, 1)
	s.LockAsync("held", PR, func(_ *Lock, err error) { waits <- err })

	signal(t, p, syscall.SIGSTOP)
	wait(t, ctx, "the loss", held.Lost())
	expect(t, "the request", wait(t, ctx, "its end", waits), ErrSessionLost)
	expect(t, "Unlock", held.Unlock(ctx), ErrLost)
	<-time.After(length) // the node may have renewed since it was asked last
	signal(t, p, syscall.SIGCONT)
	until(t, ctx, "that the node refuses", func() bool {
		_, _, _, why := c.state()
		return errors.Is(why, ErrNoQuorum) && strings.Contains(why.Error(), "its lease has ended")
	})
	if len(sessions) != 0 {
		t.Error("a session with a node without a lease")
	}

	kill(p)
	startLeased(t, length, addr)
	wait(t, ctx, "a session", sessions)
	l, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	expect(t, "Unlock", l.Unlock(ctx), nil)
	return true
}

// A stopped node does not read, and there is no more room for what it is sent: Close does not
// wait until it goes on.
func TestCloseNodeStopped(t *testing.T) {
	for name, opts := range map[string][]DialOption{"socket": {NoRing()}, "ring": nil, "netpoll": {WithTransport("netpoll")}} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			addr := "unix://" + filepath.Join(t.TempDir(), "n.sock")
			p := startLeased(t, time.Hour, addr)
			c, err := Dial(ctx, addr, opts...)
			expect(t, "Dial", err, nil)
			s, err := c.Open(ctx, "test")
			expect(t, "Open", err, nil)
			signal(t, p, syscall.SIGSTOP)
			session, ended := c.Session(), make(chan error, maxRunning)
			for session.conn.Stats().Queued < 1<<18 {
				s.LockAsync("name", EX, func(_ *Lock, err error) { ended <- err })
			}
			began := time.Now()
			expect(t, "Close", c.Close(), nil)
			if took := time.Since(began); took > 8*closeTime {
				t.Errorf("Close took %v", took)
			}
			for err := range ended {
				if errors.Is(err, ErrClosed) { // those that were answered before have another outcome
					break
				}
			}
		})
	}
}
