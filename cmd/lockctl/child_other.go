//go:build !linux

package main

import "syscall"

// childAttributes puts the command into a process group of its own, so that
// signals reach all that it starts. Only Linux can tie it to lockctl's life.
func childAttributes(group, _ bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: group}
}
