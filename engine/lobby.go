package engine

import (
	"container/list"
	"errors"
	"sync"
	"time"
)

// maxLobby is how many connections to one address may be there before they have said who
// they are.
const maxLobby = 1024

// ErrLobby closes a connection that has not said who it is, to make room for others or
// because its time is over.
var ErrLobby = errors.New("engine: the other end has not said who it is")

// Lobby has the accepted connections that have not said who they are yet. When there are
// more than maxLobby the oldest is closed: who is about to say it takes a moment, and those
// who never will cannot keep the others out.
type Lobby struct {
	mu      sync.Mutex
	waiting list.List // of guest, the oldest first
	dropped uint64
}

type guest struct {
	since time.Time
	close func()
}

// Ticket stands for a connection in a Lobby. It is of no use twice.
type Ticket = list.Element

// Enter takes a connection in. end is called if it has to go; it must not block, or call the
// Lobby.
func (l *Lobby) Enter(end func()) *Ticket {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waiting.Len() >= maxLobby {
		l.drop(l.waiting.Front())
	}
	return l.waiting.PushBack(guest{time.Now(), end})
}

// Leave is called when it has said who it is, or is closed; any number of
// times, also with nil.
func (l *Lobby) Leave(t *Ticket) {
	if t == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting.Remove(t)
}

// Expire closes those that are there for longer than d.
func (l *Lobby) Expire(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for e := l.waiting.Front(); e != nil && time.Since(e.Value.(guest).since) > d; e = l.waiting.Front() {
		l.drop(e)
	}
}

// Dropped counts those that were closed.
func (l *Lobby) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

func (l *Lobby) drop(e *list.Element) {
	l.waiting.Remove(e)
	l.dropped++
	e.Value.(guest).close()
}
