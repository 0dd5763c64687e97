//go:build !linux

package engine

import "net"

// newSpeakers gives ln: who says nothing waits in his handshake.
func newSpeakers(ln net.Listener, _ func(remote string, err error)) (net.Listener, error) {
	return ln, nil
}
