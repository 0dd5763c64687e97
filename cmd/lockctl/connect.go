package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
)

// This file is for commands that are clients of a daemon, or ask its admin address.

// atOnce calls f, which wants of the daemon at addr what it answers without waiting for
// other clients: one that hangs must not keep lockctl for ever.
func (o *options) atOnce(ctx context.Context, addr string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.clientTime, fmt.Errorf("no answer of %s within %v", addr, o.clientTime))
	defer cancel()
	err := f(ctx)
	if err != nil && ended(ctx) {
		return context.Cause(ctx)
	}
	return err
}

// ended says that ctx has ended, also if only its time has: a socket goes by the same deadline,
// and may be the first to notice.
func ended(ctx context.Context) bool {
	if at, ok := ctx.Deadline(); ok && !time.Now().Before(at) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// connect connects to a daemon, and opens a lockspace.
func (o *options) connect(ctx context.Context, addr, space string, props *spaceFlags) (c *lockify.Client, s *lockify.Lockspace, err error) {
	err = o.atOnce(ctx, addr, func(ctx context.Context) (err error) {
		if c, err = lockify.Dial(ctx, addr, lockify.OneSession(), lockify.WithTLS(o.tls)); err != nil {
			return o.explain(addr, err)
		}
		if s, err = props.open(ctx, c, space); err != nil {
			c.Close()
		}
		return err
	})
	return c, s, err
}

// asks adds the flag of commands that ask the admin address.
func (o *options) asks(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().DurationVar(&o.adminTime, "timeout", adminTime, "fail if the lockifyd at --admin does not answer within this `TIME`")
	return cmd
}

// sayWaits is how long nothing is said of waiting for the admin address: the node may itself wait
// for others, for 5 s, and then says which.
const sayWaits = 6 * time.Second

// ask is askQuietly for those who wait for nothing else, and want to know what for.
func (o *options) ask(ctx context.Context, f func(ctx context.Context, c *admin.Client) error) error {
	said := make(chan struct{})
	say := time.AfterFunc(o.sayWaits, func() {
		defer close(said)
		fmt.Fprintf(o.stderr, "lockctl: waiting for the lockifyd at %s (--admin), for %v at most (--timeout)\n", o.admin, o.adminTime)
	})
	err := o.askQuietly(ctx, f)
	if !say.Stop() {
		<-said
	}
	return err
}

// reach gives a client of an admin address that has answered just now, for what no time bounds.
func (o *options) reach(ctx context.Context) (client *admin.Client, err error) {
	err = o.ask(ctx, func(ctx context.Context, c *admin.Client) error {
		client = c
		_, err := c.Status(ctx)
		return err
	})
	return client, err
}

// askQuietly runs f with a client of the admin address.
func (o *options) askQuietly(ctx context.Context, f func(ctx context.Context, c *admin.Client) error) error {
	if o.adminTime <= 0 {
		return &exitStatus{exitUsage, fmt.Errorf("--timeout %v, want more than 0", o.adminTime)}
	}
	c, err := admin.NewClient(o.admin)
	if err != nil {
		return &exitStatus{exitUsage, err}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.adminTime, fmt.Errorf("no answer of the lockifyd at %s (--admin) within %v", o.admin, o.adminTime))
	defer cancel()
	err = f(ctx, c)
	if err != nil && ended(ctx) {
		return context.Cause(ctx)
	}
	return o.explainAdmin(err)
}

// nobodyThere says that err is of an address where nobody listens.
func nobodyThere(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) && network.Op == "dial" && (errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED))
}

// explainAdmin says what to do about an admin address where nobody answers as a daemon does.
func (o *options) explainAdmin(err error) error {
	switch {
	case nobodyThere(err):
		return fmt.Errorf("%w: no lockifyd there: is it running? (--admin, $LOCKIFY_ADMIN)", err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the other end closed the connection: is that an admin address? (--admin, $LOCKIFY_ADMIN)", err)
	}
	return err
}

// explain says what to do about an address where nobody answers as a daemon does.
func (o *options) explain(addr string, err error) error {
	closed := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
	var noTLS tls.RecordHeaderError
	switch {
	case closed && strings.Contains(addr, "tcp://") && !o.tls.Given():
		return fmt.Errorf("%w: the other end closed the connection: does it want TLS (--tls-cert, --tls-key, --tls-ca)?", err)
	case closed:
		return fmt.Errorf("%w: the other end closed the connection: is that where a lockifyd takes clients? (--addr, $LOCKIFY_ADDR)", err)
	case errors.As(err, &noTLS):
		return fmt.Errorf("%w: there is no TLS: is that where a lockifyd takes clients (--addr, $LOCKIFY_ADDR), and has it certificates?", err)
	case nobodyThere(err):
		return fmt.Errorf("%w: no lockifyd there: is it running? (--addr, $LOCKIFY_ADDR)", err)
	}
	return err
}
