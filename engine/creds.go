package engine

// Creds is what the kernel says of the process at the other end of a Unix socket, as it
// was when it connected.
type Creds struct {
	UID    uint32
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

func (b *connBase) peerCreds() *Creds { return b.creds }
