//go:build !linux

package blockdev

import "runtime"

// yield lets another goroutine run.
func yield() { runtime.Gosched() }
