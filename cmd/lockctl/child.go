package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify"
)

// hold runs the command while the lock is held, and gives its status as an
// error, nil for 0. It must be called on the main thread.
func (r *lockRun) hold(l *lockify.Lock) error {
	cmd := exec.Command(r.command[0], r.command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, r.stdout, r.stderr
	cmd.Env = r.environment(l)
	group, tied := !inForeground(), r.onLost == "kill"
	cmd.SysProcAttr = childAttributes(group, tied)
	if group && tied {
		w := watchOver()
		cmd.SysProcAttr.Pgid = w.pid // 0: a new one
		defer w.end()
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return &exitStatus{exitNotFound, err}
		}
		return &exitStatus{exitCannotRun, err}
	}
	r.event("started", map[string]any{"pid": cmd.Process.Pid})
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	send := func(s syscall.Signal) {
		// It fails only if the command has ended, which we hear of in a moment.
		if group {
			_ = syscall.Kill(-cmp.Or(cmd.SysProcAttr.Pgid, cmd.Process.Pid), s)
		} else {
			_ = cmd.Process.Signal(s)
		}
	}
	lost := l.Lost()
	if r.onLost == "ignore" {
		lost = nil
	}
	for {
		select {
		case err := <-ended:
			return r.ended(cmd, err)
		case s := <-r.signals:
			if group || s != syscall.SIGINT && s != syscall.SIGQUIT {
				send(syscall.Signal(number(s)))
			}
		case <-lost:
			send(syscall.SIGKILL)
			r.event("lost", nil)
			<-ended
			return &exitStatus{exitLost, fmt.Errorf("the lock on %q was lost, the command was killed", r.name)}
		}
	}
}

// watch is a shell that waits for lockctl's end, in the process group of the command.
type watch struct {
	cmd   *exec.Cmd
	alive io.WriteCloser // lockctl is, as long as this is open
	pid   int            // 0: there is no shell; the kernel kills the command then, if not what that has started
}

// watchOver starts a watch, before the command. If lockctl does not end as it should (kill -9, no
// memory), the lock is free, and the watch kills all that the command has started.
func watchOver() *watch {
	w := &watch{cmd: exec.Command("/bin/sh", "-c", "trap '' HUP INT QUIT TERM USR1 USR2 ALRM; read -r well || kill -KILL 0")}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if w.alive, err = w.cmd.StdinPipe(); err != nil {
		return w
	}
	if err := w.cmd.Start(); err == nil {
		w.pid = w.cmd.Process.Pid
	}
	return w
}

func (w *watch) end() {
	if w.pid != 0 {
		_, _ = w.alive.Write([]byte("well\n"))
		_ = w.cmd.Wait()
	}
}

// ended turns the end of the command into our status.
func (r *lockRun) ended(cmd *exec.Cmd, err error) error {
	if cmd.ProcessState == nil {
		return err
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	status := cmd.ProcessState.ExitCode()
	if ok && ws.Signaled() {
		status = exitSignal + int(ws.Signal())
	}
	r.event("ended", map[string]any{"status": status})
	if status == 0 {
		return nil
	}
	return &exitStatus{status: status}
}

// writeEvents writes what comes, on a goroutine: who reads it may be slow, or have gone, and the
// command goes on, or is to be killed, all the same. The result waits until all is written, but
// for no longer than flushTime.
func writeEvents(w io.Writer, events <-chan map[string]any) (flush func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range events {
			_ = json.NewEncoder(w).Encode(m)
		}
	}()
	return func() {
		select {
		case <-done:
		case <-time.After(flushTime):
		}
	}
}

// flushTime is how long the end of lockctl waits for who reads the events.
const flushTime = 5 * time.Second

// inForeground says whether lockctl is in the foreground of a terminal. The
// command then stays in the same process group, for ^C and ^Z to reach it.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	pgrp, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && pgrp == unix.Getpgrp()
}
