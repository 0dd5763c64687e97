package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/lockify-dlm/lockify"
)

// play runs the story with a node of its own.
func play(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "paused-holder")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	at := func(file string) string { return filepath.Join(dir, file) }
	addr := "unix://" + at("clients")
	node, err := lockify.StartNode(ctx, lockify.Config{
		ID: 1, Listen: "unix://" + at("nodes"), Clients: []string{addr}, Logger: slog.New(slog.DiscardHandler),
		// Without agreed membership there is no lease, and A keeps its lock.
		NewCluster: true, Data: at("data"), Lease: time.Second,
	})
	if err != nil {
		return err
	}
	return errors.Join(story(ctx, out, addr, addr), node.Close(ctx))
}

// story tells it: A and B are clients of the nodes that serve there.
func story(ctx context.Context, out io.Writer, addrA, addrB string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // which kills all parts
	storage, err := start(ctx, "storage")
	if err != nil {
		return err
	}
	defer storage.end()
	url, err := storage.line()
	if err != nil {
		return err
	}
	a, err := start(ctx, "writer", addrA, url, "from A")
	if err != nil {
		return err
	}
	defer a.end()
	locked, err := a.line()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "A: %s, and is stopped before it writes\n", locked)
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	b, err := start(ctx, "writer", addrB, url, "from B")
	if err != nil {
		return err
	}
	defer b.end()
	if locked, err = b.line(); err != nil { // comes when the lease has ended that A was told of
		return err
	}
	fmt.Fprintf(out, "B: %s\n", locked)
	if err := tell(out, "B", b, 1); err != nil {
		return err
	}
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	fmt.Fprintln(out, "A goes on")
	if err := tell(out, "A", a, 2); err != nil {
		return err
	}
	text, err := get(ctx, url+name)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "the storage has %q\n", text)
	return nil
}

// tell has a writer write, and tells what it says of that.
func tell(out io.Writer, who string, p *part, lines int) error {
	if _, err := fmt.Fprintln(p.in); err != nil {
		return err
	}
	for range lines {
		line, err := p.line()
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s\n", who, line)
	}
	return nil
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

// part is a process that runs a part.
type part struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs this program as one of the parts. It is killed when ctx ends.
func start(ctx context.Context, args ...string) (*part, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &part{cmd: exec.CommandContext(ctx, exe, args...)}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return p, p.cmd.Start()
}

// line gives the next line of what the part says.
func (p *part) line() (string, error) {
	text, err := p.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(p.cmd.Args, " "), err)
	}
	return strings.TrimSpace(text), nil
}

// end ends the part, stopped or not.
func (p *part) end() {
	_ = p.cmd.Process.Kill() // it may have ended
	_ = p.cmd.Wait()
}
