//go:build !linux

package engine

import "github.com/cloudwego/netpoll"

// Linger does nothing here.
func Linger() {}

// loop is nothing that is known here.
type loop struct{}

func loopOf(netpoll.Connection) *loop { return nil }

func (c *netpollConn) linger(int) error { return nil }
