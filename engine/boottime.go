package engine

import "golang.org/x/sys/unix"

// BootTime reads CLOCK_BOOTTIME, in ns: a clock that nobody sets, and that goes on
// while the machine sleeps.
func BootTime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // Linux has had it since 2.6.39
	}
	return ts.Nano()
}
