package perf

import (
	"time"

	"golang.org/x/sys/unix"
)

// CPUTime gives what this process has used of the processors.
func CPUTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
