package engine

import (
	"fmt"
	"net"
)

// Creds is what the kernel says of the process at the other end of a Unix socket, as it
// was when it connected.
type Creds struct {
	UID    uint32
	PID    int32    // 0: it is in another PID namespace
	Groups []uint32 // its own one first
}

// Creds gives them; nil: it is no Unix socket, or this system does not tell.
func (fc *FrameConn) Creds() *Creds {
	if c, ok := fc.c.(interface{ peerCreds() *Creds }); ok {
		return c.peerCreds()
	}
	return nil
}

// Conn gives the connection below, to be looked at.
func (fc *FrameConn) Conn() Conn { return fc.c }

// remoteOf says where a connection comes from: the process, if that has no address.
func remoteOf(nc net.Conn, c *Creds) string {
	addr := nc.RemoteAddr().String()
	if c != nil && c.PID != 0 && (addr == "" || addr == "@") {
		return fmt.Sprintf("pid %d", c.PID)
	}
	return addr
}

func (b *connBase) peerCreds() *Creds { return b.creds }
