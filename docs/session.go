package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// session is a bash that runs the commands of a page.
type session struct {
	dir  string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	from int // commands run
}

// endMark begins the line behind what a command has said.
const endMark = "\x01end of command "

// startSession starts a bash in dir, with the programs in bin first in its PATH.
func startSession(ctx context.Context, root, bin, dir string) (*session, error) {
	if err := os.Symlink(root, filepath.Join(dir, "lockify")); err != nil {
		return nil, err
	}
	if err := os.Symlink(bin, filepath.Join(dir, "bin")); err != nil {
		return nil, err
	}
	s := &session{dir: dir, cmd: exec.CommandContext(ctx, "bash", "--noprofile", "--norc")}
	s.cmd.Dir = dir
	s.cmd.Env = environment(bin, dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Cancel = func() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.out, s.cmd.Stdout, s.cmd.Stderr = bufio.NewReader(r), w, w
	started := make(chan error, 1)
	go func() { started <- startAlone(s.cmd) }()
	err = <-started
	w.Close()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// environment is ours without what would change the pages' commands.
func environment(bin, dir string) (env []string) {
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "LOCKIFY") && !strings.HasPrefix(e, "PATH=") {
			env = append(env, e)
		}
	}
	return append(env, "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C", "TMPDIR="+dir)
}

// startAlone starts cmd in a network namespace of its own, whose ports nobody else uses; or
// in ours, where this is not allowed. Its goroutine ends then, and its thread.
func startAlone(cmd *exec.Cmd) error {
	runtime.LockOSThread() // for ever: the thread is in the other namespace
	switch err := unix.Unshare(unix.CLONE_NEWNET); {
	case errors.Is(err, unix.EPERM):
	case err != nil:
		return err
	default:
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
	}
	return cmd.Start()
}

// background is a daemon that is started as a reader would, with its log in a file.
var background = regexp.MustCompile(`(?s)^(?:bin/)?lockifyd .*>(\S+) 2>&1 &$`)

// run runs a command, and gives what it has said.
func (s *session) run(ctx context.Context, cmd string) (said []string, err error) {
	m := background.FindStringSubmatch(cmd)
	if m != nil { // of an earlier start, perhaps
		if err := os.Remove(s.path(m[1])); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	s.from++
	name := filepath.Join(s.dir, fmt.Sprintf(".command-%d", s.from))
	if err := os.WriteFile(name, []byte(cmd+"\n"), 0o600); err != nil {
		return nil, err
	}
	// The command sees the status of the one before it, and no more of our input.
	const line = "(exit ${lockify_status:-0}); . %s </dev/null; lockify_status=$?; printf '\\n%s%%d\\n' $lockify_status\n"
	if _, err := fmt.Fprintf(s.in, line, name, endMark); err != nil {
		return nil, fmt.Errorf("the shell has ended: %w", err)
	}
	var b strings.Builder
	for {
		text, err := s.out.ReadString('\n')
		if strings.HasPrefix(text, endMark) {
			break
		}
		b.WriteString(text)
		if err != nil {
			return lines(b.String()), fmt.Errorf("the shell has ended: %w", errors.Join(err, ctx.Err()))
		}
	}
	if m != nil {
		err = s.ready(ctx, s.path(m[1]))
	}
	return lines(strings.TrimSuffix(b.String(), "\n")), err
}

// path is that of a file that a command names.
func (s *session) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(s.dir, name)
}

// looks are the commands that only look at something, which a reader repeats until what he
// waits for is there.
var looks = regexp.MustCompile(`^((bin/)?lockctl (members|status|locks|lockspaces|ranges|why|top) |lockctl (members|status|lockspaces)$|curl )`)

// patience is for how long a look is repeated.
const patience = 30 * time.Second

// expect runs a command that should say what is wanted.
func (s *session) expect(ctx context.Context, cmd string, want []string) (said []string, err error) {
	until := time.Now().Add(patience)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		said, err = s.run(ctx, cmd)
		if err != nil || matches(want, said) {
			return said, err
		}
		if !looks.MatchString(cmd) || time.Now().After(until) {
			return said, errors.New("it has said something else than the page")
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return said, ctx.Err()
		}
	}
}

// ready waits for the line that a daemon says when it is ready.
func (s *session) ready(ctx context.Context, log string) error {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		text, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if strings.HasPrefix(string(text), "ready ") || strings.Contains(string(text), "\nready ") {
			return nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("the daemon was never ready; its log:\n%s", text)
		}
	}
}

func lines(text string) []string {
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// close ends the shell and all that it has started.
func (s *session) close() {
	s.in.Close()
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) // they may be gone
	_ = s.cmd.Wait()                                      // killed
	s.killRest()
}

// killRest ends what has left the shell's process group, such as what lockctl lock runs: it
// is known by its working directory.
func (s *session) killRest() {
	found, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		panic(err) // a pattern of ours
	}
	for _, link := range found {
		if dir, err := os.Readlink(link); err != nil || dir != s.dir {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
		}
	}
}
