package engine

// How a connection is written
//
// Nobody waits for a socket, and no goroutine sits there only to write. Who
// has something to send appends it to a list; if no writer is at work he
// becomes the writer and writes all there is, his and what others add
// meanwhile, until the list is empty. He uses TryWritev only, which never
// waits. When the socket is full the role of the writer passes to a new
// goroutine, which may wait, and which ends when the list is empty.
//
// So a goroutine that handles incoming frames never waits for its peer to
// read, and two peers that answer each other cannot stand still with all
// their buffers full.

// source is what a pump empties.
type source interface {
	// take gives the next batch and the connection it goes to. A nil Conn
	// says that there is nothing to do now and the role of the writer has been
	// given up, in one step with finding nothing. The batch stays untouched
	// until wrote.
	take() (Conn, [][]byte)

	// wrote reports that the batch has been written with calls system calls,
	// or that the connection failed.
	wrote(c Conn, calls int, err error)
}

// pumpRounds is how many batches a caller writes for others, in turn, before
// a goroutine takes over: a bound on what one Send may cost.
const pumpRounds = 32

// pump writes until nothing is left; the caller has the role of the writer.
func pump(s source, mayWait bool) {
	for round := 1; ; round++ {
		c, bufs := s.take()
		if c == nil {
			return
		}
		n, err := c.TryWritev(bufs)
		rest := bufs
		if err == nil {
			rest = skip(bufs, n)
		}
		switch {
		case err != nil || len(rest) == 0:
			s.wrote(c, 1, err)
		case mayWait:
			s.wrote(c, 2, c.Writev(rest))
		default:
			go finish(s, c, rest)
			return
		}
		if !mayWait && round == pumpRounds {
			go pump(s, true)
			return
		}
	}
}

// finish writes the rest of a batch, waiting, and then what has come up since.
func finish(s source, c Conn, rest [][]byte) {
	s.wrote(c, 2, c.Writev(rest))
	pump(s, true)
}

// skip drops the first n bytes of bufs, which it may change.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs
}
