package node

import (
	"context"
	"log/slog"
	"sync"
)

// maxUnsaid bounds the log messages of shards that wait. A log may be slow, or stand still
// when nobody reads it; the shards do not, and what they tell of clients can bring about.
const maxUnsaid = 1024

// unsaid are log messages of whoever must not wait for the log. They come in order.
type unsaid struct {
	mu      sync.Mutex
	waits   []func()
	dropped int
	saying  bool
}

// sayLater logs something soon, on another goroutine.
func (n *Node) sayLater(level slog.Level, what string, args ...any) {
	u := &n.unsaid
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.waits) >= maxUnsaid {
		u.dropped++
		return
	}
	u.waits = append(u.waits, func() { n.cfg.Logger.Log(context.Background(), level, what, args...) })
	if !u.saying {
		u.saying = true
		go n.sayAll()
	}
}

// sayAll logs what waits, until nothing does.
func (n *Node) sayAll() {
	u := &n.unsaid
	for {
		u.mu.Lock()
		waits, dropped := u.waits, u.dropped
		u.waits, u.dropped = nil, 0
		u.saying = len(waits) > 0
		u.mu.Unlock()
		if len(waits) == 0 {
			return
		}
		for _, say := range waits {
			say()
		}
		if dropped > 0 {
			n.cfg.Logger.Warn("messages were dropped, as the log is slow", "messages", dropped)
		}
	}
}
