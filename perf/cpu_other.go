//go:build !linux

package perf

import "time"

// CPUTime gives what this process has used of the processors: 0 here, it is not known.
func CPUTime() time.Duration { return 0 }
