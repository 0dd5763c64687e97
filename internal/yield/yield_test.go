package yield

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// TestNow: another goroutine gets the only processor that there is.
func TestNow(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var ran atomic.Bool
	go ran.Store(true)
	for range 1000 {
		if Now(); ran.Load() {
			return
		}
	}
	t.Error("nobody else had the processor")
}
