package engine

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// Nobody answers on a connection that brings mail: who has taken it says so with mail of his own.
// What is known of an address that does not answer is here.

// Trouble says what was wrong with an address when mail was sent there lately, "": nothing that
// is known.
func (m *Mailer) Trouble(network, addr string) string {
	m.mu.Lock()
	box := m.boxes[network+" "+addr]
	m.mu.Unlock()
	if box == nil {
		return ""
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	return box.trouble
}

func (b *mailbox) note(trouble string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trouble = trouble
}

// sent takes what has become of a frame. That it could be written says nothing yet: so it can
// to a server of something else, which hangs up behind it.
func (b *mailbox) sent(err error) {
	switch {
	case err != nil:
		b.note(briefly(err))
	case time.Since(b.since) > mailStays:
		b.note("")
	}
}

// overhear waits until the other end hangs up, or says something, as no node does.
func (b *mailbox) overhear(c net.Conn) {
	var said [16]byte
	n, err := c.Read(said[:])
	switch err = ended(err); {
	case n > 0:
		b.note(fmt.Sprintf("it says %q: is that where a node listens for others?", said[:n]))
	case errors.Is(err, net.ErrClosed): // by this end
	case errors.Is(err, io.EOF):
		b.note("closed by the other end: is that where a node listens for others?")
	default:
		b.note(briefly(err))
	}
}

// briefly leaves out of an error what is said beside it, such as the address.
func briefly(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return fmt.Sprintf("%.200s", err.Error())
}
