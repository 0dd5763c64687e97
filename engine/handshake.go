package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// How a connection of a link begins
//
//	dialling node                      accepting node
//	    LinkHello   ------------------>   who, cluster, versions, features,
//	                                      last frame received
//	                <------------------   LinkWelcome: the same, or LinkRefuse
//	    LinkAck     ------------------>   agreed: both ends are up and go on
//	                                      behind the last frame received
//
// The third message is there because only the dialling node can say whether
// it knows this very start of the accepting node. All three have Seq 0.

// handshakeTimeout bounds the three messages, and also how long a refused
// connection may stay until the other end closes it: closing at once could
// take the reason away before it is read.
const handshakeTimeout = 3 * time.Second

// refusedReset is the status of a LinkRefuse when one end no longer has what
// the two shared, or has never had it.
const refusedReset = wire.LostLock

// What may become of a handshake.
var (
	ErrHandshake = errors.New("engine: no agreement in time")
	ErrRefused   = errors.New("engine: peer refuses the connection")
)

// Errors of established links.
var (
	ErrOverrun    = errors.New("engine: peer leaves too many bytes unacknowledged")
	ErrPeerClosed = errors.New("engine: peer says goodbye")
	ErrReplaced   = errors.New("engine: replaced by a new connection")
	ErrDead       = errors.New("engine: peer is silent")
	ErrProtocol   = errors.New("engine: peer breaks the link protocol")
)

// onFrame is called for each frame of the connection, in order.
func (s *session) onFrame(h *wire.Header, payload []byte) error {
	switch s.state {
	case isUp:
		return s.l.receive(s, h, payload)
	case isRefused:
		return nil
	case isMail:
		return s.onMail(h, payload)
	}
	if h.Kind == wire.KindMail && s.state == waitHello {
		return s.firstMail(h, payload)
	}
	if h.Kind != wire.KindLink || h.Seq != 0 {
		return fmt.Errorf("%w: frame of kind %d, number %d before agreement", ErrProtocol, h.Kind, h.Seq)
	}
	var m wire.Msg
	if err := decodeOne(h, payload, &m); err != nil {
		return err
	}
	switch {
	case m.Type == wire.LinkRefuse:
		return s.onRefuse(h, &m)
	case m.Type == wire.LinkHello && s.state == waitHello:
		return s.onHello(&m)
	case m.Type == wire.LinkWelcome && s.state == waitWelcome:
		return s.onWelcome(&m)
	case m.Type == wire.LinkAck && s.state == waitConfirm:
		return s.l.install(s)
	}
	return fmt.Errorf("%w: message type %d before agreement", ErrProtocol, m.Type)
}

// write sends one message of the handshake. So little fits into any socket
// buffer of a new connection, so this does not wait.
func (s *session) write(m *wire.Msg) error {
	h := wire.Header{Version: wire.HelloVersion, Kind: wire.KindLink, Instance: s.ls.cfg.Instance}
	frame := sealOne(h, m)
	defer PutBuf(frame)
	return s.c.Writev([][]byte{frame})
}

// introduce fills in what a hello and a welcome say.
func (s *session) introduce(t wire.Type, lastRecv uint64) error {
	return s.write(&wire.Msg{
		Type:     t,
		Instance: s.ls.cfg.Instance,
		Num:      wire.VersionRange(wire.VersionMin, wire.VersionMax),
		Seq:      lastRecv,
		Features: s.ls.cfg.Features,
		Text:     []byte(s.ls.cfg.Cluster),
	})
}

func (s *session) sendHello() {
	if err := s.introduce(wire.LinkHello, s.l.detach(s)); err != nil {
		s.fail(err)
	}
}

// onHello is called at the accepting end.
func (s *session) onHello(m *wire.Msg) error {
	id := wire.NodeOf(m.Instance)
	l := s.ls.link(id)
	switch {
	case s.ls.leaving.Load():
		return ErrClosed // without a word: it has been said, and whoever tries again will find nobody
	case l == nil:
		return s.refuse(id, wire.NoNode, fmt.Sprintf("node %d is not a peer of node %d", id, s.ls.cfg.Self))
	case id > s.ls.cfg.Self:
		return s.refuse(id, wire.Invalid, fmt.Sprintf("node %d dials node %d, not the other way round", s.ls.cfg.Self, id))
	}
	if status, reason := s.check(l, m); reason != "" {
		return s.refuse(id, status, reason)
	}
	s.ls.lobby.Leave(s.ticket)
	s.l = l
	lastRecv := l.detach(s)
	s.state = waitConfirm
	return s.introduce(wire.LinkWelcome, lastRecv)
}

// onWelcome is called at the dialling end.
func (s *session) onWelcome(m *wire.Msg) error {
	if id := wire.NodeOf(m.Instance); id != s.l.id {
		return s.refuse(id, wire.Mismatch, fmt.Sprintf("node %d answers at %s, the address of node %d", id, s.l.addr, s.l.id))
	}
	if status, reason := s.check(s.l, m); reason != "" {
		return s.refuse(s.l.id, status, reason)
	}
	return s.l.install(s)
}

// check says whether the link can go on with a peer that introduces itself so,
// and keeps what it said. An empty reason means yes.
func (s *session) check(l *link, m *wire.Msg) (wire.Status, string) {
	if prove := s.ls.cfg.PeerNode; prove != nil {
		switch id, err := prove(s.c); {
		case err != nil:
			return wire.Mismatch, err.Error()
		case id != wire.NodeOf(m.Instance):
			return wire.Mismatch, fmt.Sprintf("node %d says that it is node %d", id, wire.NodeOf(m.Instance))
		}
	}
	if string(m.Text) != s.ls.cfg.Cluster {
		return wire.Mismatch, fmt.Sprintf("cluster %q meets cluster %q", m.Text, s.ls.cfg.Cluster)
	}
	version, err := wire.Negotiate(m.Num)
	if err != nil {
		return wire.BadVersion, err.Error()
	}
	l.mu.Lock()
	known, want, failed := l.instance, l.want, l.failed
	resumable := l.q.canResume(m.Seq)
	l.mu.Unlock()
	switch {
	case failed != nil:
		return wire.Limit, failed.Error()
	case want != 0 && want != m.Instance:
		return wire.NoNode, fmt.Sprintf("instance %#x of node %d is not the member here, %#x is", m.Instance, l.id, want)
	case known != 0 && known != m.Instance:
		s.reportReset(l, m.Instance)
		return refusedReset, fmt.Sprintf("instance %#x of node %d follows %#x, which was not removed", m.Instance, l.id, known)
	case !resumable:
		s.reportReset(l, m.Instance)
		return refusedReset, fmt.Sprintf("node %d has received frame %d, which cannot be followed here", l.id, m.Seq)
	}
	s.ver = version
	s.hello = wire.Msg{Instance: m.Instance, Features: m.Features & s.ls.cfg.Features, Seq: m.Seq}
	return 0, ""
}

// reportReset tells, once for each instance, that the peer we knew is gone.
func (s *session) reportReset(l *link, now uint64) {
	l.recv.Lock()
	defer l.recv.Unlock()
	l.mu.Lock()
	known := l.instance
	news := known != 0 && l.reset != now
	l.reset = now
	l.mu.Unlock()
	if news {
		s.ls.log.Info("peer has lost what it shared with us", "peer", l.id, "instance", fmt.Sprintf("%#x", known), "now", fmt.Sprintf("%#x", now))
		s.ls.h.OnPeerReset(l.id, known, now)
	}
}

// refuse says no. The other end is to close the connection.
func (s *session) refuse(id uint16, status wire.Status, reason string) error {
	s.state = isRefused
	s.ls.complain(id, status, "connection refused", reason)
	if len(reason) > wire.MaxText {
		reason = reason[:wire.MaxText]
	}
	return s.write(&wire.Msg{
		Type:   wire.LinkRefuse,
		Status: status,
		Num:    wire.VersionRange(wire.VersionMin, wire.VersionMax),
		Text:   []byte(reason),
	})
}

// onRefuse is called when the other end says no.
func (s *session) onRefuse(h *wire.Header, m *wire.Msg) error {
	if s.l != nil {
		s.l.mu.Lock()
		known := s.l.instance
		s.l.mu.Unlock()
		if known != 0 && wire.NodeOf(h.Instance) == s.l.id && (known != h.Instance || m.Status == refusedReset) {
			s.reportReset(s.l, h.Instance)
		}
		s.ls.complain(s.l.id, m.Status, "peer refuses the connection", string(m.Text))
	}
	return fmt.Errorf("%w: %s", ErrRefused, m.Text)
}
