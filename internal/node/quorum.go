package node

import (
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// What clients hear of a node that takes no part in the cluster, because it is fenced
// or not yet a member:
//
//	SESSION_LOST, then the end       their sessions, when it is fenced
//	WELCOME                          who connects later
//	SPACE_OPENED with NoQuorum       who wants to open a lockspace then
//
// A client without FeatureLease is told ShuttingDown instead of NoQuorum.

// noQuorum gives the text of a refusal.
func noQuorum(since time.Time, why error) string {
	text := fmt.Sprintf("no quorum since %s: %v", since.UTC().Format(time.RFC3339), why)
	return text[:min(len(text), wire.MaxText)]
}

// fencedText gives the text for clients of a node that is fenced, the same for all:
// why and the time of the first call.
func (n *Node) fencedText(why error) string {
	if n.refusal.Load() == nil {
		text := noQuorum(time.Now(), why)
		n.refusal.CompareAndSwap(nil, &text)
	}
	return *n.refusal.Load()
}

// Refusal says since when and why this node grants nothing any more, "" if it may.
func (n *Node) Refusal() string {
	if !n.leaseEnded() {
		return ""
	}
	return n.fencedText(n.withFailure(errLease))
}

// tellFenced ends the sessions of all clients, before anything else is done about
// their locks.
func (n *Node) tellFenced(why error) {
	text := n.fencedText(why)
	for _, s := range n.allSessions() {
		s.lost(text)
	}
}

// sayQuorum puts right what a message says of a node that takes no part: shards know
// only that it does not.
func (s *session) sayQuorum(m *wire.Msg) {
	if m.Status != wire.ShuttingDown || !s.leases {
		return
	}
	if text := s.node.Refusal(); text != "" {
		m.Status, m.Text = wire.NoQuorum, []byte(text)
	}
}
