package lockify

import (
	"fmt"
	"testing"
)

// TestWrites: one at a time, each operation of a client costs it one system call that
// writes, and the node another one. (What reading costs, the kernel's scheduling has a say
// in; lockbench peers counts all system calls.)
func TestWrites(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	c := dialNode(t, nodes[0], "unix", "plain")
	s, err := c.Open(e.ctx, "test")
	expect(t, "Open", err, nil)
	e.unlock(t, e.must(t, s, "first", EX))
	conn := c.Session().conn
	const n = 200
	before := conn.Stats()
	for i := range n {
		e.unlock(t, e.must(t, s, fmt.Sprint(i%10), EX))
	}
	after := conn.Stats()
	if w, out, in := after.Writes-before.Writes, after.FramesOut-before.FramesOut, after.FramesIn-before.FramesIn; w != 2*n || out != w || in != w {
		t.Errorf("%d pairs: %d writes of %d frames, %d frames have come", n, w, out, in)
	}
}
