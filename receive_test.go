package lockify

import (
	"context"
	"testing"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/wire"
)

// heardFirst is a network where what the other end says first is heard before Dial returns.
type heardFirst struct{ *engine.Mem }

func (n heardFirst) Dial(ctx context.Context, network, addr string, h engine.Handler) (engine.Conn, error) {
	ear := &firstEar{Handler: h, heard: make(chan struct{})}
	c, err := n.Mem.Dial(ctx, network, addr, ear)
	if err == nil {
		<-ear.heard
	}
	return c, err
}

type firstEar struct {
	engine.Handler
	heard chan struct{} // closed when the first bytes have been handled
}

func (e *firstEar) OnData(c engine.Conn, r engine.Reader) error {
	err := e.Handler.OnData(c, r)
	if !isClosed(e.heard) {
		close(e.heard)
	}
	return err
}

// talker is a node that speaks first.
type talker struct {
	oldNode
	says wire.Msg
}

func (n talker) OnOpen(c *engine.FrameConn) {
	frame := n.says.Append(engine.GetBuf())
	wire.SealFrame(frame, &wire.Header{Version: 1, Kind: wire.KindClient, Count: 1})
	_ = c.Send(frame)
}

// TestNodeSpeaksFirst: what comes before a client has said anything does not end the program.
func TestNodeSpeaksFirst(t *testing.T) {
	for _, test := range []struct {
		says  wire.Msg
		joins bool // there is a session all the same
	}{
		{wire.Msg{Type: wire.Ping, Num: 1}, false}, // this node takes the answer for a fault
		{wire.Msg{Type: wire.Welcome, Instance: 1, Num: uint32(wire.VersionMax)}, true},
		{wire.Msg{Type: wire.Ring, Num: engine.RingSize}, false},
	} {
		net := engine.NewMem()
		listener, err := engine.ListenFrames(net, "tcp", "a:1", talker{oldNode{heard: make(chan wire.Type, 10)}, test.says})
		expect(t, "ListenFrames", err, nil)
		c, err := Dial(testContext(t), "tcp://a:1", DialOption{via: heardFirst{net}})
		if joins := err == nil; joins != test.joins {
			t.Errorf("message type %d first: error %v", test.says.Type, err)
		}
		if err == nil {
			expect(t, "Close", c.Close(), nil)
		}
		listener.Close()
	}
}
