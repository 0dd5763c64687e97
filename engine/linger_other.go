//go:build !linux

package engine

import "github.com/cloudwego/netpoll"

// Linger does nothing here.
func Linger() {}

func loopOf(netpoll.Connection) int { return -1 }

func (c *netpollConn) linger(int) error { return nil }
