//go:build !linux

package yield

func thread() {}
