//go:build !linux

package engine

import (
	"errors"
	"net"
)

func newDirectConn(net.Conn, Handler) (ownConn, error) { return nil, errors.ErrUnsupported }
