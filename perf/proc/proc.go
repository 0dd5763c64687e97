package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a child of this program. It is ended by closing its standard input or by
// SIGTERM, and killed if that does not help; should this program be killed, it gets
// SIGTERM.
type Process struct {
	name  string
	cmd   *exec.Cmd
	Stdin io.WriteCloser
	err   error         // how it ended
	Ended chan struct{} // closed when it has
	tail  tail          // the end of its standard error
}

// Start runs a program, that is called name in errors. out gets its standard output, and
// may return before that ends.
func Start(name string, out func(io.Reader), path string, args ...string) (*Process, error) {
	p := &Process{name: name, cmd: exec.Command(path, args...), Ended: make(chan struct{})}
	p.cmd.Stderr = &p.tail
	// Should the coordinator be killed, nobody else would end a daemon.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var err error
	if p.Stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("perf: start %s: %w", name, err)
	}
	go func() {
		out(stdout)
		io.Copy(io.Discard, stdout)
		p.err = p.cmd.Wait()
		close(p.Ended)
	}()
	return p, nil
}

// Discard is for Start, of a program whose output nobody wants.
func Discard(r io.Reader) { io.Copy(io.Discard, r) }

// Stop ends the process in good order, or else, after grace, by force.
func (p *Process) Stop(grace time.Duration) {
	p.Stdin.Close()
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-p.Ended:
		return
	case <-t.C:
	}
	p.Kill()
}

// Kill ends the process by force.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.Ended
}

// Signal sends it a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Pid gives its number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// CPU gives the time that the process has used of the processors, in steps of 10 ms.
func (p *Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// "pid (name) state ...": utime and stime are the 14th and 15th field, in 1/100 s.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("perf: %s: cannot read its times: %q", p.name, b)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err, err2)
}

// Memory gives the bytes of memory that the process has.
func (p *Process) Memory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b)) // in pages: all, resident, ...
	if len(fields) < 2 {
		return 0, fmt.Errorf("perf: %s: cannot read its memory: %q", p.name, b)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Failure describes a process that has ended too early.
func (p *Process) Failure() error {
	err := p.err
	if err == nil {
		err = errors.New("ended too early")
	}
	if t := p.tail.String(); t != "" {
		return fmt.Errorf("perf: %s: %w: %s", p.name, err, t)
	}
	return fmt.Errorf("perf: %s: %w", p.name, err)
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

// FreeAddrs finds free ports on a loopback address that hardly anybody else
// uses, where the system has such: on 127.0.0.1 another program's connection could take a port before
// its daemon does.
func FreeAddrs(n int) ([]string, error) {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.N(254), rand.N(256), 1+rand.N(254))
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			l, err = net.Listen("tcp", "127.0.0.1:0")
		}
		if err != nil {
			return nil, err
		}
		defer l.Close() // only when all are chosen, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// ReadUntil returns when a line begins with word, or r ends.
func ReadUntil(r io.Reader, word string) {
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

// DaemonPath finds lockifyd: as told, beside this program, or in PATH.
func DaemonPath(told string) (string, error) {
	if told != "" {
		return told, nil
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
	return "", errors.New("perf: lockifyd is not beside lockbench and not in PATH; build it (make build) or use --lockifyd")
}
