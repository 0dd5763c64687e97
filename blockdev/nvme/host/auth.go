package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
)

var (
	errNoSecret = errors.New("nvme: the controller wants DH-HMAC-CHAP authentication: this host needs the secret that the target has for it")
	errSecure   = errors.New("nvme: the controller wants a TLS channel after authentication, which this host does not have")
	errNotAsked = errors.New("nvme: the controller asks for no authentication, so it does not prove who it is either, though its secret was given")
)

// login is the authentication of one queue: the command that comes next, and its data, to
// be sent or to be filled. It is pure.
type login struct {
	auth *auth.Host
	cmd  nvme.Command
	data []byte
	buf  [nvme.MaxAuthMessage]byte
}

// login begins the authentication of a queue with that result of Connect; nil: none is
// wanted.
func (c *Config) login(r nvme.ConnectResult) (*login, error) {
	switch {
	case r.AuthSecure:
		return nil, errSecure
	case !r.AuthRequired && !c.ControllerSecret.IsZero() && !c.discovery():
		return nil, errNotAsked
	case !r.AuthRequired:
		return nil, nil
	case c.Secret.IsZero():
		return nil, errNoSecret
	}
	h, err := auth.NewHost(auth.HostConfig{
		HostNQN: c.HostNQN, SubNQN: c.SubNQN, Secret: c.Secret, Controller: c.ControllerSecret, Choice: c.Auth,
	})
	if err != nil {
		return nil, err
	}
	l := &login{auth: h}
	_, err = l.advance()
	return l, err
}

// advance prepares the next command; false: there is none, and the error says whether
// that is a success.
func (l *login) advance() (more bool, err error) {
	m, more := l.auth.Next()
	switch {
	case !more:
		return false, l.auth.Err()
	case m != nil:
		l.data = m
		l.cmd.SetAuthSend(uint32(len(m)), true)
	default:
		l.data = l.buf[:]
		l.cmd.SetAuthReceive(uint32(len(l.buf)))
	}
	return true, nil
}

// ended takes the end of the command; false and no error: the authentication is done.
func (l *login) ended(e *ending) (more bool, err error) {
	if err := e.Status.Err(); err != nil {
		return false, errors.Join(l.auth.Err(), fmt.Errorf("%s: %w", l.cmd.Name(true), err))
	}
	if l.cmd.Fabrics() == nvme.FabricsAuthReceive {
		l.auth.Received(l.data[:e.Got])
	}
	return l.advance()
}

// authenticate does so for a queue that has just been made, if its controller wants it.
func (c *Config) authenticate(ctx context.Context, w waker, l *link, result uint64) error {
	a, err := c.login(nvme.ParseConnectResult(result))
	for more := a != nil; more && err == nil; {
		var end ending
		if end, err = l.call(ctx, w, &a.cmd, a.data, nvme.AdminCapsuleData); err == nil {
			more, err = a.ended(&end)
		}
	}
	return err
}
