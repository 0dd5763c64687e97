package engine

import (
	"net"
	"testing"
)

// Handshakes compute one at a time, and who waits for the other end lets others go on.
func TestTurnstile(t *testing.T) {
	turn := make(turnstile, 1)
	pipe := func() (*turnConn, net.Conn) {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		return &turnConn{Conn: a, turn: turn}, b
	}
	read := func(c *turnConn) chan error {
		done := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 1))
			done <- err
		}()
		return done
	}
	one, first := pipe()
	two, second := pipe()
	got := read(one)
	if _, err := first.Write([]byte("a")); err != nil || <-got != nil || len(turn) != 1 {
		t.Fatal(err, len(turn))
	}
	waits := read(two)
	if _, err := second.Write([]byte("b")); err != nil { // it has its data, and no turn
		t.Fatal(err)
	}
	silent := read(one) // gives the turn up
	if err := <-waits; err != nil || len(turn) != 1 {
		t.Fatal(err, len(turn))
	}
	two.over()
	if len(turn) != 0 {
		t.Error("a handshake that is over has a turn")
	}
	first.Close() // an end is something to compute with, too
	if err := <-silent; err == nil || len(turn) != 1 {
		t.Error(err, len(turn))
	}
	one.over()
	got = read(two)
	if _, err := second.Write([]byte("c")); err != nil || <-got != nil || len(turn) != 0 {
		t.Error("behind its handshake a connection takes turns")
	}
}
