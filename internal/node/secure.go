package node

import (
	"fmt"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/secure"
)

// SecureTransport gives the transport of those who have certificates. Of strangers who are
// refused the log has a line a second: they come as often as they like.
func SecureTransport(k *secure.Keeper, log *slog.Logger) engine.Transport {
	lines := rate.NewLimiter(1, 20)
	var unsaid atomic.Uint64
	return engine.NewTLS(k.Server(), k.Client(), func(remote string, err error) {
		if !lines.Allow() {
			unsaid.Add(1)
			return
		}
		log.Warn("connection refused", "remote", remote, "reason", err, "unsaid", unsaid.Swap(0))
	})
}

// peerNode says which node's certificate the other end of a connection has shown. Unix
// sockets show none: who may open them is for the file system to say.
func peerNode(c engine.Conn) (uint16, error) {
	peer, ok := secure.Peer(engine.TLS(c))
	switch {
	case !ok:
		return 0, fmt.Errorf("%w: no certificate was shown", secure.ErrIdentity)
	case peer.Node == 0:
		return 0, fmt.Errorf("%w of %v, which is no node", secure.ErrIdentity, peer)
	}
	return peer.Node, nil
}
