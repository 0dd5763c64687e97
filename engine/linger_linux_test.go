package engine

import (
	"bytes"
	"runtime/debug"
	"testing"
)

// Where netpoll keeps the descriptor of a loop is its own business.
func TestLoopOf(t *testing.T) {
	for _, b := range benches() {
		if b.t.Name() != "netpoll" || raceEnabled {
			continue
		}
		opened := make(chan Conn, 1)
		server := newRecorder(t)
		server.onOpen = func(c Conn) { opened <- c }
		link2(t, b, server, newRecorder(t))
		c := receive(t, opened).(*netpollConn)
		if loop := loopOf(c.np); loop == nil || loop.fd < 3 {
			t.Errorf("%s: loop %+v", b.name, loop)
		}
	}
}

// Requests one after the other on one connection come to a handler that lingers; when
// another connection has something, it has its turn.
func TestLinger(t *testing.T) {
	if raceEnabled {
		t.Skip("netpoll runs other code under the race detector")
	}
	for _, b := range benches() {
		if !b.lingers {
			continue
		}
		Linger()
		defer lingers.Store(false)
		server := newRecorder(t)
		stayed := 0
		server.onMsg = func(c Conn, msg []byte) error {
			if bytes.Contains(debug.Stack(), []byte(").linger(")) {
				stayed++
			}
			return c.Writev([][]byte{msgOf(msg)})
		}
		answers := make(chan string, 2)
		client := newRecorder(t)
		client.onMsg = func(_ Conn, msg []byte) error {
			answers <- string(msg)
			return nil
		}
		ln, idle := link2(t, b, server, client)
		conns := []Conn{idle}
		for range 2 { // whose events are not of the same loop
			c, err := NewPlain().Dial(testContext(t), b.network, ln.Addr(), client)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns = append(conns, c)
		}
		const many = 200
		for i := range many {
			c := conns[1]
			if i%10 == 0 {
				c = conns[i/10%3]
			}
			if err := c.Writev([][]byte{msgOf([]byte("ping"))}); err != nil {
				t.Fatal(err)
			}
			receive(t, answers)
		}
		if stayed == 0 {
			t.Errorf("none of %d requests was read by a handler that stayed", many)
		}
	}
}

// TestLingerWithEnds: a connection that has ended is not forgotten by a loop on which a handler of another
// one would wait for what comes next.
func TestLingerWithEnds(t *testing.T) {
	if raceEnabled {
		t.Skip("netpoll runs other code under the race detector")
	}
	for _, b := range benches() {
		if !b.lingers {
			continue
		}
		Linger()
		defer lingers.Store(false)
		server, opened, entered, release := newRecorder(t), make(chan Conn, 1), make(chan bool), make(chan bool)
		server.onOpen = func(c Conn) { opened <- c }
		server.onMsg = func(_ Conn, msg []byte) error {
			entered <- true
			if string(msg) == "wait" {
				<-release
			}
			return nil
		}
		ln, first := link2(t, b, server, newRecorder(t))
		loop := receive(t, opened).(*netpollConn).loop.fd
		conns := []Conn{first}
		for len(conns) < 3 {
			c, err := NewPlain().Dial(testContext(t), b.network, ln.Addr(), newRecorder(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if receive(t, opened).(*netpollConn).loop.fd == loop {
				conns = append(conns, c)
			}
		}
		// While the loop is busy with the first one, the second one ends, and then the third one
		// has a request: the loop finds them in this order.
		send := func(c Conn, msg string) {
			if err := c.Writev([][]byte{msgOf([]byte(msg))}); err != nil {
				t.Fatal(err)
			}
		}
		send(conns[0], "wait")
		receive(t, entered)
		conns[1].Close()
		send(conns[2], "go on")
		release <- true
		receive(t, entered)
		server.awaitClosed()
	}
}
