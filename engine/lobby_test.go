package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestLobby: the oldest goes when there are too many; who has left is never closed.
func TestLobby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Lobby
		closed := make([]bool, MaxLobby+2)
		tickets := make([]*Ticket, len(closed))
		for i := range closed[:MaxLobby] {
			tickets[i] = l.Enter(func() { closed[i] = true })
		}
		l.Leave(tickets[0])
		for i := MaxLobby; i < len(closed); i++ {
			<-time.After(time.Second)
			tickets[i] = l.Enter(func() { closed[i] = true })
		}
		if closed[0] || !closed[1] || closed[2] || l.Dropped() != 1 {
			t.Errorf("closed %v, dropped %d", closed[:3], l.Dropped())
		}
		l.Leave(tickets[0])
		l.Leave(tickets[1]) // is closed already
		l.Expire(time.Second)
		if !closed[2] || !closed[MaxLobby-1] || closed[MaxLobby] || closed[MaxLobby+1] {
			t.Error("not those are closed whose time is over")
		}
	})
}
