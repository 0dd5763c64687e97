package node

import (
	"context"
	"log/slog"
	"net"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/secure"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// What clients may do is looked up once for each lockspace that a session opens, and
// compared with what each of its requests needs.

// clientOf says who is at the other end of a connection.
func clientOf(fc *engine.FrameConn, network bool) access.Client {
	c := access.Client{Network: network, Host: fc.RemoteAddr()}
	if host, _, err := net.SplitHostPort(c.Host); err == nil {
		c.Host = host
	}
	if id, ok := secure.Peer(engine.TLS(fc.Conn())); ok {
		c.Certificate, c.Node = id.Client, id.Node
	}
	if creds := fc.Creds(); creds != nil {
		c.Local, c.UID, c.Groups = true, creds.UID, creds.Groups
	}
	return c
}

// modeRights is what a lock in each mode needs.
var modeRights = [...]access.Right{
	lockspace.NL: access.Read, lockspace.CR: access.Shared, lockspace.CW: access.Exclusive,
	lockspace.PR: access.Shared, lockspace.PW: access.Exclusive, lockspace.EX: access.Exclusive,
}

// needs gives the right that a request in an open lockspace needs. Those that only give
// something up need none; values are written by who holds PW or EX, so by nobody who may
// not have them.
func needs(m *wire.Msg) access.Right {
	switch m.Type {
	case wire.LockReq, wire.ConvertReq:
		if m.Flags&(lockspace.AltCW|lockspace.NewName) != 0 || int(m.Mode) >= len(modeRights) {
			return access.Exclusive
		}
		if m.Flags&lockspace.AltPR != 0 {
			return max(access.Shared, modeRights[m.Mode])
		}
		return modeRights[m.Mode]
	case wire.UnlockReq:
		if m.Flags&lockspace.Retire != 0 {
			return access.Administer
		}
		return access.None
	case wire.CancelReq, wire.RangeCancelReq, wire.CloseSpace:
		return access.None
	case wire.RangeReq:
		if m.Flags&lockspace.TestRange == 0 && m.Ranges.Len() > 0 {
			switch byterange.Type(m.Ranges.At(0).Type) {
			case byterange.Read:
				return access.Shared
			case byterange.Write:
				return access.Exclusive
			}
			return access.None
		}
	case wire.DelegateReq, wire.ReturnReq:
		return access.Exclusive
	case wire.PurgeReq:
		return access.Administer
	}
	return access.Read
}

// mayNow gives what the client may do here by the rules that hold now.
func (sp *sessionSpace) mayNow() access.Right {
	if policy := sp.session.node.cfg.Access(); policy != sp.policy {
		sp.policy, sp.may = policy, policy.Right(&sp.session.client, sp.space.name)
	}
	return sp.may
}

// deny answers a request for which the client lacks the right.
func (s *session) deny(sp *sessionSpace, m *wire.Msg, need access.Right) {
	st, text := s.denied(sp.may, need, sp.space.name)
	if m.Type == wire.RangeReq {
		s.failBytes(sp.space.id, m, st, string(text))
		return
	}
	s.fail(sp.space.id, m, st, string(text))
}

// denied says so in the log, and gives what the client is told: one that is older than
// the status hears that it is wrong.
func (s *session) denied(has, need access.Right, space string) (wire.Status, []byte) {
	text := access.Denied(&s.client, has, need, space, s.node.cfg.ID)
	s.conn.Unwelcome()
	level := slog.LevelDebug
	if !s.denials.Swap(true) { // one line of a client that goes on and on
		level = slog.LevelWarn
	}
	s.node.cfg.Logger.Log(context.Background(), level, "permission denied", "session", s.id, "client", s.name, "as", s.client.String(), "lockspace", space, "has", has.String(), "needs", need.String())
	if !s.rights {
		return wire.Invalid, []byte("permission denied: " + text)
	}
	return wire.NotAllowed, []byte(text)
}
