package disk

import (
	"fmt"
	"time"

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
		round = receive(s, o.Job.Bytes)
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

// stream writes buffers of one size until the time is over.
func stream(s *bare.Socket, o *order) {
	b := make([]byte, o.Job.Bytes)
	for end := time.Now().Add(o.Duration); s.Err == nil && time.Now().Before(end); {
		for rest := b; len(rest) > 0 && s.Err == nil; {
			rest = rest[s.Write(rest):]
		}
	}
}

// receive reads all that comes.
func receive(s *bare.Socket, size int) *Round {
	b := make([]byte, size)
	total := s.Read(b)
	begin := time.Now()
	for n := total; n > 0; total += n {
		n = s.Read(b)
	}
	return &Round{Seconds: time.Since(begin).Seconds(), Requests: int64(total / size)}
}
