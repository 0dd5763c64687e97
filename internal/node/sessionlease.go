package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"syscall"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// A client with leases (wire.FeatureLease) believes in its locks until the lease that
// it was told has ended by its clock, or until it has noticed that its connection has.
// So its locks are released
//
//	it has hung up, or its process is gone   at once
//	a reset came, over a network             when its lease has ended: it may be
//	                                         of who stands between, a firewall
//	this end closes the connection           when its lease has ended: it may be
//	                                         stopped, and wake up as a holder
//	it is silent, and holds something        when its lease has ended, for then it
//	                                         holds nothing by its own count
//
// The client counts from when it asked, and allows for its clock; this end counts from
// the answer, which is later, on its own clock: lease.go of the root package has the
// arithmetic. A client without leases holds what it has for as long as it is connected.

// errSilent ends the session of a client that has not renewed its lease.
var errSilent = errors.New("node: the client is silent, its lease has ended")

// expireEvery is how often silent clients are looked for, in ticks.
const expireEvery = int(100 * time.Millisecond / tickTime)

// answerLease tells the client for how long it may count on its locks.
func (s *session) answerLease(space uint32, req uint64) {
	left := s.node.LeaseLeft()
	select {
	case <-s.node.over: // it has been told that the session is lost; nobody waits for it longer than that
		left = 0
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if left < math.MaxInt64 {
		s.leaseEnd = max(s.leaseEnd, s.node.now()+left)
	}
	s.append(space, &wire.Msg{Type: wire.Lease, Req: req, Wait: uint64(left)})
}

// believes gives for how long the client may still believe in locks, in ns.
func (s *session) believes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaseEnd == 0 || s.locks == 0 {
		return 0
	}
	return max(s.leaseEnd-s.node.now(), 0)
}

// knows says that a connection has ended by the client's doing.
func (s *session) knows(err error) bool {
	reset := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || reset && !s.client.Network
}

// release gives up what the session has, when the client cannot believe in it any more.
func (s *session) release(closing bool, err error) {
	s.leaveConn()
	s.node.forgetBarriers(s)
	if s.ringed {
		s.node.rings.Add(-1)
	}
	wait := s.believes()
	if wait == 0 || s.knows(err) {
		s.node.hangUp(s)
		s.releaseAll(closing)
		return
	}
	time.AfterFunc(time.Duration(wait), func() {
		s.releaseAll(closing)
		s.node.hangUp(s)
	})
}

// expireSessions ends the sessions of silent clients.
func (n *Node) expireSessions() {
	n.lobby.Expire(helloTime)
	n.forgetAllowances(time.Now())
	now := n.now()
	for _, s := range n.allSessions() {
		s.mu.Lock()
		late := s.leaseEnd != 0 && s.locks > 0 && now >= s.leaseEnd && !s.gone
		s.mu.Unlock()
		if late {
			s.event(0, &wire.Msg{Type: wire.SessionLost, Status: wire.ShuttingDown, Text: []byte("no word of this client for longer than its lease")})
			s.flush()
			s.conn.CloseReason(errSilent)
		}
	}
}

func (n *Node) allSessions() []*session {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*session, 0, len(n.sessions))
	for s := range n.sessions {
		all = append(all, s)
	}
	return all
}

// awaitHangUps tells all clients that the node ends, and waits until those that believe
// in locks have hung up, or cannot believe in them any more. An error says that ctx has
// ended before: then nothing may be released, and the others wait for this node's lease.
func (n *Node) awaitHangUps(ctx context.Context) error {
	for _, s := range n.allSessions() {
		s.lost("node is shutting down")
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		waits := 0
		for _, s := range n.allSessions() {
			if s.believes() > 0 {
				waits++
			}
		}
		if waits == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w while %d clients may believe in locks: %w", ErrClosed, waits, ctx.Err())
		}
	}
}
