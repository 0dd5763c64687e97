//go:build !linux

package engine

// ShortTurns asks the system for short turns of this process's threads; not here.
func ShortTurns() error { return nil }
