package perf

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const schedIdle = 5 // SCHED_IDLE

// TakeWhatIsLeft puts this process into the class of those that run when nobody else wants
// to. Threads inherit it from those that make them, so it looks until it finds no other.
func TakeWhatIsLeft() error {
	for again := true; again; {
		again = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range tasks {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			a, err := unix.SchedGetAttr(tid, 0)
			if err == unix.ESRCH || err == nil && a.Policy == schedIdle {
				continue
			}
			if err == nil {
				err = unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: schedIdle}, 0)
			}
			if err != nil && err != unix.ESRCH {
				return fmt.Errorf("perf: take only idle processors: %w", err)
			}
			again = true
		}
	}
	return nil
}
