//go:build !linux

package disk

import (
	"errors"
	"time"
)

func cpuTime() time.Duration { return 0 }

func bare(*order, func(line) error) error {
	return errors.New("disk: the limits are measured with Linux's system calls")
}
