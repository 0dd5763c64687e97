package engine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// turn is the shortest that Linux takes.
const turn = 100 * time.Microsecond

// ShortTurns asks the system for short turns of this process's threads, those to come
// included: where more threads want to run than there are processors, each runs for 0.1
// ms at a time, in place of some 3 ms, and one that wakes does not wait for longer than
// that. An answer that passes five threads of three processes else waits for the garbage
// collector of each. It changes nothing of how much anybody may run. Linux before 6.12
// takes no notice; threads of real time are left as they are.
func ShortTurns() error {
	done := map[int]bool{}
	for {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("engine: threads: %w", err)
		}
		more := false
		for _, t := range tasks {
			id, err := strconv.Atoi(t.Name())
			if err != nil || done[id] {
				continue
			}
			done[id], more = true, true
			if err := shortTurn(id); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("engine: turns of thread %d: %w", id, err)
			}
		}
		if !more { // nor is one of them the child of another that was late
			return nil
		}
	}
}

func shortTurn(thread int) error {
	a, err := unix.SchedGetAttr(thread, 0)
	if err != nil || a.Policy != unix.SCHED_NORMAL && a.Policy != unix.SCHED_BATCH {
		return err
	}
	a.Runtime = uint64(turn)
	return unix.SchedSetAttr(thread, a, 0)
}
