package engine

import (
	"bytes"
	"runtime"
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
		if loop := loopOf(c.np); loop < 3 {
			t.Errorf("%s: loop %d", b.name, loop)
		}
	}
}

// Requests one after the other on one connection come to a handler that lingers; when
// another connection has something, it has its turn.
func TestLinger(t *testing.T) {
	if raceEnabled {
		t.Skip("netpoll runs other code under the race detector")
	}
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("nobody lingers on the only processor")
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
