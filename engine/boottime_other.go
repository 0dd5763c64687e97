//go:build !linux

package engine

import "golang.org/x/sys/unix"

// bootClock: on macOS this one goes on while the machine sleeps.
const bootClock = unix.CLOCK_MONOTONIC
