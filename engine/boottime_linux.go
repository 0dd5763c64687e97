package engine

import "golang.org/x/sys/unix"

// bootClock: CLOCK_MONOTONIC stands still while the machine sleeps.
const bootClock = unix.CLOCK_BOOTTIME
