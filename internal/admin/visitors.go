package admin

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/engine"
)

// visitors are the connections on which nothing is being answered. Every process of the machine can
// make as many as it likes, and each is a descriptor, and memory, that clients and other nodes would
// lack: when there are too many the one that was asked nothing for the longest is closed.
type visitors struct {
	lobby engine.Lobby

	mu sync.Mutex
	at map[net.Conn]*engine.Ticket
}

type visitorKey struct{}

// connContext has handlers know their connection.
func (v *visitors) connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, visitorKey{}, c)
}

// connState is told what becomes of a connection.
func (v *visitors) connState(c net.Conn, s http.ConnState) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch s {
	case http.StateNew, http.StateIdle:
		v.at[c] = v.lobby.Enter(func() { c.Close() })
	case http.StateClosed, http.StateHijacked:
		v.leave(c)
	}
}

// leave is for who asks something, or goes. mu is held.
func (v *visitors) leave(c net.Conn) {
	v.lobby.Leave(v.at[c])
	delete(v.at, c)
}

// serve answers with h. Who does not read the answer is waited for no longer than answerTimeout, unless
// h says something else.
func (v *visitors) serve(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(visitorKey{}).(net.Conn); ok {
			v.mu.Lock()
			v.leave(c)
			v.mu.Unlock()
		}
		// A connection that can't have a deadline has none.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTimeout))
		h.ServeHTTP(w, r)
	})
}
