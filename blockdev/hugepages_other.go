//go:build !linux

package blockdev

func wantHugePages([]byte) {}
