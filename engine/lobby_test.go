package engine

import (
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestLobby: the oldest goes when there are too many; who has left is never closed.
func TestLobby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Lobby
		closed := make([]bool, maxLobby+2)
		tickets := make([]*Ticket, len(closed))
		for i := range closed[:maxLobby] {
			tickets[i] = l.Enter(func() { closed[i] = true })
		}
		l.Leave(tickets[0])
		for i := maxLobby; i < len(closed); i++ {
			<-time.After(time.Second)
			tickets[i] = l.Enter(func() { closed[i] = true })
		}
		if closed[0] || !closed[1] || closed[2] || l.Dropped() != 1 {
			t.Errorf("closed %v, dropped %d", closed[:3], l.Dropped())
		}
		l.Leave(tickets[0])
		l.Leave(tickets[1]) // is closed already
		l.Expire(time.Second)
		if !closed[2] || !closed[maxLobby-1] || closed[maxLobby] || closed[maxLobby+1] {
			t.Error("not those are closed whose time is over")
		}
	})
}

// TestStrangers: connections that say nothing, fewer than maxLobby, are all there, and a peer
// gets in beside them.
func TestStrangers(t *testing.T) {
	b := benches()[0]
	two := newNode(t, 2)
	two.start(b, []Peer{{ID: 1}}, nil)
	const many = 200
	for range many {
		c, err := net.Dial("tcp", two.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	ctx := testContext(t)
	there := func() int {
		two.ls.mu.Lock()
		defer two.ls.mu.Unlock()
		return len(two.ls.sessions)
	}
	for there() < many {
		if runtime.Gosched(); ctx.Err() != nil {
			t.Fatalf("%d connections are there", there())
		}
	}
	one := newNode(t, 1)
	one.start(b, []Peer{{ID: 2, Addr: two.addr()}}, nil)
	if err := one.ls.Ready(ctx); err != nil {
		t.Error(err)
	}
}
