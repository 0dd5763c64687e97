//go:build linux

package engine_test

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/engine"
)

// Each thread has a short turn, one that begins later, too, and what else is known of it
// stays.
func TestShortTurns(t *testing.T) {
	was, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.ShortTurns(); err != nil {
		t.Fatal(err)
	}
	later := make(chan int)
	end := make(chan struct{})
	defer close(end)
	for range 3 {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			later <- unix.Gettid()
			<-end
		}()
	}
	threads := map[int]bool{<-later: true, <-later: true, <-later: true}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err == nil {
			threads[id] = true
		}
	}
	for id := range threads {
		a, err := unix.SchedGetAttr(id, 0)
		if err == unix.ESRCH {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if a.Runtime == 0 {
			t.Skip("this Linux has no turns of its threads")
		}
		if a.Runtime > 100_000 || a.Nice != was.Nice || a.Policy != was.Policy {
			t.Errorf("thread %d: %+v, was %+v", id, a, was)
		}
	}
}
