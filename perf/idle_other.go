//go:build !linux

package perf

import "errors"

// TakeWhatIsLeft puts this process into the class of those that run when nobody else wants to.
func TakeWhatIsLeft() error { return errors.ErrUnsupported }
