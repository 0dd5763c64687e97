package disk

import (
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/perf/bare"
)

// Messages of the ping-pong: a command, its data, its completion.
const (
	pingCommand = 64
	pingEnd     = 16
)

// pingSizes gives the bytes of a message and of its answer.
func pingSizes(j *Job) (ask, answer int) {
	if j.Op == "write" {
		return pingCommand + j.Bytes, pingEnd
	}
	return pingCommand, j.Bytes
}

// measureBare is a process that measures what the machine can do.
func measureBare(o *order, say func(line) error) error {
	s, err := meet(o.Addr, say)
	if err != nil {
		return fmt.Errorf("disk: %s: %w", o.Role, err)
	}
	defer s.Close()
	ask, answer := pingSizes(&o.Job)
	var round *Round
	before := usage()
	switch o.Role {
	case roleReceiver:
		round = receive(s, o.Job.Bytes, o.Job.Depth)
	case roleSender:
		stream(s, o)
	case roleEcho:
		s.Echo(ask, answer)
	case rolePinger:
		h, took := s.Ping(o.Duration, ask, answer)
		round = &Round{Seconds: took.Seconds(), Requests: h.Count(), P50: h.QuantileUS(0.5), P99: h.QuantileUS(0.99)}
	}
	if s.Err != nil {
		return fmt.Errorf("disk: %s: %w", o.Role, s.Err)
	}
	u := usage().since(before)
	if round != nil {
		round.Host = u
		return say(line{Round: round})
	}
	return say(line{Usage: &u})
}

// meet connects to addr, or waits for a connection if there is none.
func meet(addr string, say func(line) error) (*bare.Socket, error) {
	if addr != "" {
		return bare.Connect("tcp", addr)
	}
	l, err := bare.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	if err := say(line{Addr: l.Addr}); err != nil {
		return nil, err
	}
	return l.Accept()
}

// stream writes buffers of one size until the time is over: one again and again, which
// stays in the processor's cache, or, as a target that is read from has to, all there are
// in memory such as the namespace's.
func stream(s *bare.Socket, o *order) {
	one := make([]byte, o.Job.Bytes)
	each := func(send func([]byte)) { send(one) }
	if o.Job.Op == "read" {
		mem, err := blockdev.NewMemory(o.Size, blockSize)
		if err != nil {
			s.Err = err
			return
		}
		each = through(mem, o.Job.Bytes)
		for range o.Size / int64(o.Job.Bytes) {
			each(func(b []byte) { b[0], b[len(b)/2] = 1, 1 }) // now it is there
		}
	}
	send := func(b []byte) {
		for len(b) > 0 && s.Err == nil {
			b = b[s.Write(b):]
		}
	}
	for end := time.Now().Add(o.Duration); s.Err == nil && time.Now().Before(end); {
		each(send)
	}
}

// through gives what calls a function with the next size bytes of mem, round and round.
func through(mem *blockdev.Memory, size int) func(func([]byte)) {
	at := int64(0)
	return func(do func([]byte)) {
		do(mem.Borrow(at, size, true))
		mem.Return(at, size, true)
		if at += int64(size); at+int64(size) > mem.Info().Size {
			at = 0
		}
	}
}

// receive reads all that comes, into so many buffers in turn.
func receive(s *bare.Socket, size, buffers int) *Round {
	b := make([]byte, size*buffers)
	total := s.Read(b[:size])
	begin := time.Now()
	for n, at := total, 0; n > 0; total += n {
		if at += n; at+size > len(b) {
			at = 0
		}
		n = s.Read(b[at:][:size])
	}
	return &Round{Seconds: time.Since(begin).Seconds(), Requests: int64(total / size)}
}
