package core

import (
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
)

// checkSecrets says what is wrong with Secrets and Auth.
func (c *SubsystemConfig) checkSecrets() error {
	if c.AnyHost && len(c.Secrets) > 0 {
		return errors.New("any host may connect, so none would have to authenticate itself with its secret")
	}
	for nqn, s := range c.Secrets {
		if s.Host.IsZero() {
			return fmt.Errorf("host %s: no secret", nqn)
		}
	}
	return c.Auth.Check()
}

// demand makes the queue one that takes nothing but authentication, if the host has to
// authenticate itself.
func (s *Session) demand() {
	c := s.controller
	secrets, ok := c.sub.cfg.Secrets[c.hostNQN]
	if s.authenticated = !ok; !ok {
		return
	}
	// AddSubsystem has checked what could be wrong.
	s.auth, _ = auth.NewController(auth.ControllerConfig{
		HostNQN: c.hostNQN, SubNQN: c.sub.cfg.NQN, Secret: secrets.Host, Controller: secrets.Controller, Choice: c.sub.cfg.Auth,
	})
}

// authenticate begins an Authentication Send or Receive.
func (s *Session) authenticate(i int32) {
	q := &s.slots[i]
	n, st := q.cmd.AuthLength()
	most := uint32(nvme.MaxAuthMessage)
	if q.cmd.Fabrics() == nvme.FabricsAuthReceive {
		most = MaxTransfer
	}
	if st.OK() && n > most {
		st = nvme.StatusInvalidField | nvme.DNR
	}
	switch {
	case !st.OK():
		s.complete(i, st)
	case q.capsule > 0:
		s.authRun(i)
	default:
		s.needBuffer(i, int(n))
	}
}

// authRun does an authentication command that has its data, or a buffer for it. Messages
// of the host are left to Work.
func (s *Session) authRun(i int32) {
	q := &s.slots[i]
	if q.cmd.Fabrics() == nvme.FabricsAuthSend {
		q.state, s.proving = queued, i
		return
	}
	reply := s.auth.Reply(len(q.buf))
	if reply == nil {
		s.complete(i, nvme.StatusInvalidField|nvme.DNR)
	} else {
		clear(q.buf[copy(q.buf, reply):])
		s.respondData(i, nvme.StatusSuccess)
	}
	s.judge()
}

// Work does what takes long: it computes what an authentication needs, which may take
// tens of milliseconds. It concerns nobody else; other sessions of the target may be used
// meanwhile as if this one was not. It says whether there was something; then Received
// has to be called.
func (s *Session) Work() bool {
	if s.proving == none || s.worked {
		return false
	}
	q := &s.slots[s.proving]
	s.auth.Received(q.buf[:q.cmd.SGL.Length])
	s.worked = true
	return true
}

// proved ends the command that Work was for.
func (s *Session) proved() {
	i := s.proving
	s.proving, s.worked = none, false
	s.complete(i, nvme.StatusSuccess)
	s.judge()
}

// judge takes what the authentication has come to.
func (s *Session) judge() {
	s.authenticated = s.auth.Authenticated()
	if s.auth.Over() {
		s.kill(fmt.Errorf("host %s, queue %d: %w", s.controller.hostNQN, s.queue.id, s.auth.Err()))
	}
}
