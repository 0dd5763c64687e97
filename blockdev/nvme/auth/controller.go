package auth

import (
	"bytes"
	"crypto/hmac"
	"io"
	"slices"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// ControllerConfig says whom a controller expects.
type ControllerConfig struct {
	HostNQN, SubNQN string
	Secret          Secret // of the host
	Controller      Secret // of the controller, for hosts that ask; zero: it can't answer them
	Choice          Choice
	Rand            io.Reader // nil: crypto/rand
}

// controllerState is what comes next.
type controllerState uint8

const (
	awaitsNegotiate controllerState = iota
	givesChallenge
	awaitsReply
	givesSuccess
	awaitsSuccess
	givesFailure
	failedForGood
)

// Controller is the controller's end of the authentications of one queue. A host that has
// succeeded may begin again.
type Controller struct {
	cfg    ControllerConfig
	rand   source
	state  controllerState
	x      exchange
	e      *exponent
	seq    uint32 // of the challenge
	own    []byte // challenge for the host
	reply  []byte // for Reply
	two    bool   // the host has asked as well
	proved bool
	err    error
}

// NewController waits for a host.
func NewController(cfg ControllerConfig) (*Controller, error) {
	var err error
	if cfg.Choice, err = cfg.Choice.complete(); err != nil {
		return nil, err
	}
	if cfg.Secret.IsZero() {
		return nil, failed("there is no secret for host %s", cfg.HostNQN)
	}
	return &Controller{cfg: cfg, rand: newSource(cfg.Rand)}, nil
}

// Authenticated says whether the host is who it says.
func (c *Controller) Authenticated() bool { return c.proved }

// Err says why the authentication has failed; nil: it has not. Then the connection is to
// be ended, once Over says so.
func (c *Controller) Err() error { return c.err }

// Over says whether the authentication has failed and nothing is left to be said.
func (c *Controller) Over() bool { return c.state == failedForGood }

// Received takes a message that the host has sent. It may take some time.
func (c *Controller) Received(b []byte) {
	var m nvme.AuthMessage
	err := m.Decode(b)
	switch {
	case c.err != nil:
		c.state = failedForGood
	case err != nil:
		c.fail(nvme.AuthIncorrectPayload, failed("the host's message: %w", err))
	case m.ID == nvme.AuthNegotiate && c.state == awaitsNegotiate:
		c.negotiate(&m)
	case m.TID != c.x.tid:
		c.fail(nvme.AuthIncorrectMessage, failed("%v for transaction %#x, not %#x", m.ID, m.TID, c.x.tid))
	case m.ID == nvme.AuthReply && c.state == awaitsReply:
		c.judge(&m)
	case m.ID == nvme.AuthSuccess2 && c.state == awaitsSuccess:
		c.state, c.proved = awaitsNegotiate, true
	case m.ID == nvme.AuthFailure2:
		c.proved, c.err, c.state = false, failed("the host says: %v", m.Explain), failedForGood
	default:
		c.fail(nvme.AuthIncorrectMessage, failed("the host sends %v when it may not come", m.ID))
	}
}

// Reply gives the message for an Authentication Receive of up to size bytes; nil: it is
// larger.
func (c *Controller) Reply(size int) []byte {
	switch c.state {
	case givesChallenge, givesSuccess, givesFailure:
	default:
		c.fail(nvme.AuthIncorrectMessage, failed("the host wants a message when none is due"))
	}
	if len(c.reply) > size {
		return nil
	}
	switch {
	case c.state == givesChallenge:
		c.state = awaitsReply
	case c.state == givesFailure:
		c.state = failedForGood
	case c.two:
		c.state = awaitsSuccess
	default:
		c.state, c.proved = awaitsNegotiate, true
	}
	return c.reply
}

func (c *Controller) fail(why nvme.AuthReason, err error) {
	c.proved, c.err, c.state = false, err, givesFailure
	c.reply = refusal(nvme.AuthFailure1, c.x.tid, why)
}

// negotiate picks a hash and a group, and makes a challenge.
func (c *Controller) negotiate(m *nvme.AuthMessage) {
	c.x = exchange{tid: m.TID}
	hash := slices.IndexFunc(c.cfg.Choice.Hashes, func(h nvme.AuthHash) bool { return bytes.IndexByte(m.Hashes, byte(h)) >= 0 })
	group := slices.IndexFunc(c.cfg.Choice.Groups, func(g nvme.AuthGroup) bool { return bytes.IndexByte(m.Groups, byte(g)) >= 0 })
	switch {
	case m.Secure != 0:
		c.fail(nvme.AuthConcatMismatch, failed("the host wants a secure channel (SC_C %d)", m.Secure))
		return
	case hash < 0:
		c.fail(nvme.AuthHashUnusable, failed("of the hashes that the host offers (% x) none is taken here", m.Hashes))
		return
	case group < 0:
		c.fail(nvme.AuthGroupUnusable, failed("of the groups that the host offers (% x) none is taken here", m.Groups))
		return
	}
	c.x.hash = c.cfg.Choice.Hashes[hash]
	if err := c.challenge(c.cfg.Choice.Groups[group]); err != nil {
		c.fail(nvme.AuthFailed, err)
	}
}

// challenge makes what the host has to answer. Sequence numbers of a queue follow each
// other from a random one on.
func (c *Controller) challenge(group nvme.AuthGroup) (err error) {
	if c.seq++; c.own == nil || c.seq == 0 {
		if c.seq, err = c.rand.number(); err != nil {
			return err
		}
	}
	if c.own, err = c.rand.challenge(c.x.hash.Size()); err != nil {
		return err
	}
	if c.e, err = newExponent(group, c.rand); err != nil {
		return err
	}
	m := nvme.AuthMessage{
		ID: nvme.AuthChallenge, TID: c.x.tid, Hash: c.x.hash, Group: group, Seq: c.seq, Challenge: c.own, DHValue: c.e.public(),
	}
	c.reply, c.state = m.Append(nil), givesChallenge
	return nil
}

// judge looks whether the host knows its secret, and answers its challenge.
func (c *Controller) judge(m *nvme.AuthMessage) {
	var ok bool
	if len(m.Response) != c.x.hash.Size() {
		c.fail(nvme.AuthIncorrectPayload, failed("the host's response has %d bytes, not %d", len(m.Response), c.x.hash.Size()))
		return
	}
	if c.x.shared, ok = c.e.shared(m.DHValue); !ok {
		c.fail(nvme.AuthIncorrectPayload, failed("the host's public value is none of the group"))
		return
	}
	want := c.x.response(c.cfg.Secret, c.own, c.seq, hostRole, c.cfg.HostNQN, c.cfg.SubNQN)
	if !hmac.Equal(want, m.Response) {
		c.fail(nvme.AuthFailed, failed("the host does not know its secret"))
		return
	}
	// With sequence number 0 a challenge is for a secure channel alone.
	if c.two = m.Challenge != nil && m.Seq != 0; c.two && c.cfg.Controller.IsZero() {
		c.fail(nvme.AuthFailed, failed("the host wants to know who the controller is, which has no secret for it"))
		return
	}
	s := nvme.AuthMessage{ID: nvme.AuthSuccess1, TID: c.x.tid, Hash: c.x.hash}
	if c.two {
		s.Response = c.x.response(c.cfg.Controller, m.Challenge, m.Seq, controllerRole, c.cfg.SubNQN, c.cfg.HostNQN)
	}
	c.reply, c.state = s.Append(nil), givesSuccess
}
