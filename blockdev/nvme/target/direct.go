package target

import (
	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

// directMin is from how many bytes on the memory of a device is borrowed: for less, one
// system call for many requests is worth more than a copy.
const directMin = 32 << 10

// loan is memory of a device that the session sends from, for the rest of a round.
type loan struct {
	d   blockdev.Direct // nil: there is none
	off int64
	n   int
}

// direct gives the device of a read that may be sent from where the device has it.
func direct(q *core.Request) blockdev.Direct {
	if q.Op != blockdev.Read || len(q.Buf) < directMin {
		return nil
	}
	d, _ := q.Namespace.Device.(blockdev.Direct)
	return d
}

// lend does a read in this way; false: it can't be done so now.
func (c *conn) lend(d blockdev.Direct, q *core.Request) bool {
	data := d.Borrow(q.Offset, len(q.Buf), false)
	if data == nil {
		return false
	}
	c.lent = loan{d, q.Offset, len(q.Buf)}
	c.ses.DoneDirect(q.Tag, data)
	return true
}

// giveBack ends the loan when the socket has taken what it takes.
func (c *conn) giveBack() {
	if l := c.lent; l.d != nil {
		c.ses.Keep()
		l.d.Return(l.off, l.n, false)
		c.lent = loan{}
	}
}

// read receives what there is. Where the rest of a write's data is there as a whole, it
// goes to the device's memory.
func (c *conn) read(fd int) (int, error) {
	first, second := c.ses.Room()
	if len(second) > 0 && len(first) >= directMin && c.iov.available(fd) >= len(first) {
		if n, err := c.land(fd, second); n > 0 || err != nil {
			return n, err
		}
	}
	return c.iov.readv(fd, first, second)
}

// land receives a write's data, and what comes behind it; 0: it can't be done so. No
// reservation changes between the look at it and the write.
func (c *conn) land(fd int, second []byte) (int, error) {
	c.srv.mu.RLock()
	defer c.srv.mu.RUnlock()
	w, ok := c.ses.Landing()
	if !ok {
		return 0, nil
	}
	d, ok := w.Namespace.Device.(blockdev.Direct)
	if !ok {
		return 0, nil
	}
	have, size := len(w.Have), len(w.Have)+len(w.Rest)
	mem := d.Borrow(w.Offset, size, true)
	if mem == nil {
		return 0, nil
	}
	defer d.Return(w.Offset, size, true)
	n, err := c.iov.readv(fd, mem[have:], second)
	if n < len(w.Rest) {
		copy(w.Rest, mem[have:][:n]) // it was said to be there: the request does it
		return n, err
	}
	copy(mem, w.Have)
	c.ses.Landed()
	return n, err
}
