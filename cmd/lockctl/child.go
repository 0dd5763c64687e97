package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify"
)

// hold runs the command while the lock is held, and gives its status as an
// error, nil for 0. It must be called on the main thread.
func (r *lockRun) hold(l *lockify.Lock) error {
	cmd := exec.Command(r.command[0], r.command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, r.stdout, r.stderr
	cmd.Env = r.environment(l)
	group := !inForeground()
	cmd.SysProcAttr = childAttributes(group, r.onLost == "kill")
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
			_ = syscall.Kill(-cmd.Process.Pid, s)
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
			r.event("lost", nil)
			send(syscall.SIGKILL)
			<-ended
			return &exitStatus{exitLost, fmt.Errorf("the lock on %q was lost, the command was killed", r.name)}
		}
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

func (r *lockRun) writeEvent(m map[string]any) {
	// Who reads the events may have gone; the command goes on.
	_ = json.NewEncoder(r.stderr).Encode(m)
}

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
