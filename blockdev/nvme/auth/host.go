package auth

import (
	"crypto/hmac"
	"io"
	"slices"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// HostConfig says who authenticates.
type HostConfig struct {
	HostNQN, SubNQN string
	Secret          Secret // of the host
	Controller      Secret // of the controller, which has to prove that it knows it; zero: it has not
	Choice          Choice
	Rand            io.Reader // nil: crypto/rand
}

// hostState is what comes next.
type hostState uint8

const (
	hostNegotiates hostState = iota
	hostAwaitsChallenge
	hostReplies
	hostAwaitsSuccess
	hostConfirms
	hostFails // it has to tell the controller
	hostOver
)

// Host is the host's end of an authentication.
type Host struct {
	cfg    HostConfig
	rand   source
	state  hostState
	x      exchange
	answer []byte // to the controller's challenge
	own    []byte // challenge for the controller; nil: none
	seq    uint32 // of own
	public []byte // for the controller
	why    nvme.AuthReason
	err    error
}

// NewHost begins an authentication.
func NewHost(cfg HostConfig) (*Host, error) {
	var err error
	if cfg.Choice, err = cfg.Choice.complete(); err != nil {
		return nil, err
	}
	h := &Host{cfg: cfg, rand: newSource(cfg.Rand)}
	if cfg.Secret.IsZero() {
		return nil, failed("this host has no secret")
	}
	tid, err := h.rand.number()
	h.x.tid = uint16(tid)
	return h, err
}

// Next gives the next message for Authentication Send; nil: one has to be received, and
// given to Received. more is false when the authentication is over, and Err says how.
func (h *Host) Next() (message []byte, more bool) {
	m := nvme.AuthMessage{TID: h.x.tid}
	switch h.state {
	case hostNegotiates:
		h.state, m.ID = hostAwaitsChallenge, nvme.AuthNegotiate
		for _, hash := range h.cfg.Choice.Hashes {
			m.Hashes = append(m.Hashes, byte(hash))
		}
		for _, g := range h.cfg.Choice.Groups {
			m.Groups = append(m.Groups, byte(g))
		}
	case hostReplies:
		h.state, m.ID = hostAwaitsSuccess, nvme.AuthReply
		m.Response, m.Challenge, m.Seq, m.DHValue = h.answer, h.own, h.seq, h.public
	case hostConfirms:
		h.state, m.ID = hostOver, nvme.AuthSuccess2
	case hostFails:
		h.state = hostOver
		return refusal(nvme.AuthFailure2, h.x.tid, h.why), true
	default:
		return nil, h.state != hostOver
	}
	return m.Append(nil), true
}

// Err says why the authentication has failed; nil: it has not.
func (h *Host) Err() error { return h.err }

// Received takes a message of the controller.
func (h *Host) Received(b []byte) {
	var m nvme.AuthMessage
	err := m.Decode(b)
	switch {
	case err != nil:
		h.fail(nvme.AuthIncorrectPayload, failed("the controller's message: %w", err))
	case m.ID == nvme.AuthFailure1 && m.Explain == nvme.AuthFailed:
		h.state, h.err = hostOver, failed("the controller says: %v: it has another secret, or none, for %s", m.Explain, h.cfg.HostNQN)
	case m.ID == nvme.AuthFailure1:
		h.state, h.err = hostOver, failed("the controller says: %v", m.Explain)
	case m.TID != h.x.tid:
		h.fail(nvme.AuthIncorrectMessage, failed("%v for transaction %#x, not %#x", m.ID, m.TID, h.x.tid))
	case h.state == hostAwaitsChallenge && m.ID == nvme.AuthChallenge:
		h.challenged(&m)
	case h.state == hostAwaitsSuccess && m.ID == nvme.AuthSuccess1:
		h.succeeded(&m)
	default:
		h.fail(nvme.AuthIncorrectMessage, failed("the controller sends %v when it may not come", m.ID))
	}
}

func (h *Host) fail(why nvme.AuthReason, err error) {
	h.state, h.why, h.err = hostFails, why, err
}

// challenged prepares the reply to a challenge.
func (h *Host) challenged(m *nvme.AuthMessage) {
	switch {
	case !slices.Contains(h.cfg.Choice.Hashes, m.Hash):
		h.fail(nvme.AuthHashUnusable, failed("the controller has picked hash %v, which was not offered", m.Hash))
		return
	case !slices.Contains(h.cfg.Choice.Groups, m.Group):
		h.fail(nvme.AuthGroupUnusable, failed("the controller has picked group %v, which was not offered", m.Group))
		return
	}
	h.x.hash = m.Hash
	e, err := newExponent(m.Group, h.rand)
	if err != nil {
		h.fail(nvme.AuthFailed, err)
		return
	}
	var ok bool
	if h.x.shared, ok = e.shared(m.DHValue); !ok {
		h.fail(nvme.AuthIncorrectPayload, failed("the controller's public value is none of group %v", m.Group))
		return
	}
	h.public = e.public()
	if !h.cfg.Controller.IsZero() {
		if h.own, err = h.rand.challenge(m.Hash.Size()); err == nil {
			h.seq, err = h.rand.number()
		}
		if err != nil {
			h.fail(nvme.AuthFailed, err)
			return
		}
	}
	h.answer = h.x.response(h.cfg.Secret, m.Challenge, m.Seq, hostRole, h.cfg.HostNQN, h.cfg.SubNQN)
	h.state = hostReplies
}

// succeeded looks whether the controller is who it says, if that was asked for.
func (h *Host) succeeded(m *nvme.AuthMessage) {
	if h.own == nil {
		h.state = hostOver
		return
	}
	want := h.x.response(h.cfg.Controller, h.own, h.seq, controllerRole, h.cfg.SubNQN, h.cfg.HostNQN)
	if !hmac.Equal(want, m.Response) {
		h.fail(nvme.AuthFailed, failed("the controller does not know its secret"))
		return
	}
	h.state = hostConfirms
}
