package main

import "syscall"

// childAttributes puts the command into a process group of its own, so that
// signals reach all that it starts, and has the kernel kill it when lockctl's
// main thread ends: when lockctl is gone, so is the lock.
func childAttributes(group, tied bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: group}
	if tied {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}
