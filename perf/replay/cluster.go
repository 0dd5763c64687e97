package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin"
)

// process is a child of the coordinator. All are ended by closing their
// standard input or by SIGTERM, and killed if that does not help.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	err   error         // how it ended
	ended chan struct{} // closed when it has
	tail  tail          // the end of its standard error
}

// startProcess runs a program. lines, if not nil, gets its standard output.
func startProcess(name string, out func(io.Reader), path string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Stderr = &p.tail
	// Should the coordinator be killed, nobody else would end a daemon.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("replay: start %s: %w", name, err)
	}
	go func() {
		out(stdout)
		io.Copy(io.Discard, stdout)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process in good order, or else by force.
func (p *process) stop(grace time.Duration) {
	p.stdin.Close()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.ended:
		return
	case <-t.C:
	}
	p.cmd.Process.Kill()
	<-p.ended
}

// failure describes a process that ended too early.
func (p *process) failure() error {
	err := p.err
	if err == nil {
		err = errors.New("ended too early")
	}
	if t := p.tail.String(); t != "" {
		return fmt.Errorf("replay: %s: %w: %s", p.name, err, t)
	}
	return fmt.Errorf("replay: %s: %w", p.name, err)
}

// tail keeps the last bytes written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - tailSize; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}

// freeAddrs finds free ports on a loopback address that hardly anybody else
// uses: on 127.0.0.1 another program's connection could take a port before
// its daemon does.
func freeAddrs(n int) ([]string, error) {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		defer l.Close() // only when all are chosen, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// startDaemons runs a lockifyd per node and returns when all are ready.
func (c *coordinator) startDaemons(ctx context.Context) error {
	path, err := c.daemonPath()
	if err != nil {
		return err
	}
	admins, err := freeAddrs(c.opts.Nodes)
	if err != nil {
		return err
	}
	for _, a := range admins {
		client, err := admin.NewClient(a)
		if err != nil {
			return err
		}
		c.admins = append(c.admins, client)
	}
	ready := make(chan struct{}, c.opts.Nodes)
	for i := range c.opts.Nodes {
		socket := "unix://" + filepath.Join(c.dir, fmt.Sprintf("node%d.sock", i+1))
		c.sockets = append(c.sockets, socket)
		config := filepath.Join(c.dir, fmt.Sprintf("node%d.toml", i+1))
		if err := os.WriteFile(config, c.daemonConfig(i, socket, admins[i]), 0o600); err != nil {
			return err
		}
		p, err := startProcess(fmt.Sprintf("lockifyd %d", i+1), func(r io.Reader) {
			readUntil(r, "ready")
			ready <- struct{}{}
		}, path, "--config", config)
		if err != nil {
			return err
		}
		c.daemons = append(c.daemons, p)
	}
	for range c.opts.Nodes {
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, p := range c.daemons {
		select {
		case <-p.ended:
			return p.failure()
		default:
		}
	}
	return nil
}

// daemonConfig is the configuration file of node i+1.
func (c *coordinator) daemonConfig(i int, socket, admin string) []byte {
	b := fmt.Appendf(nil, "id = %d\ncluster = \"replay\"\nlisten = %q\nclients = [%q]\nadmin = %q\nlog_level = %q\ntransport = %q\n",
		i+1, c.addrs[i], socket, admin, c.opts.LogLevel, c.opts.Transport)
	for j, a := range c.addrs {
		if j != i {
			b = fmt.Appendf(b, "\n[[peer]]\nid = %d\naddr = %q\ndelay = %q\n", j+1, a, c.opts.RTT/2)
		}
	}
	return b
}

// readUntil returns when a line begins with word, or r ends.
func readUntil(r io.Reader, word string) {
	buf := make([]byte, 0, 4096)
	chunk := make([]byte, 512)
	for {
		n, err := r.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for _, l := range strings.Split(string(buf), "\n") {
			if strings.HasPrefix(l, word) {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// daemonPath finds lockifyd: as told, beside this program, or in PATH.
func (c *coordinator) daemonPath() (string, error) {
	if c.opts.Daemon != "" {
		return c.opts.Daemon, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "lockifyd")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	if path, err := exec.LookPath("lockifyd"); err == nil {
		return path, nil
	}
	return "", errors.New("replay: lockifyd is not beside lockbench and not in PATH; build it (make build) or use --lockifyd")
}
