package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/lockspace"
)

// lockRun is one run of the lock command.
type lockRun struct {
	*options
	space, name string
	command     []string

	modeName string
	mode     lockify.Mode
	noWait   bool
	timeout  time.Duration
	isNew    bool
	value    string
	setValue bool
	spaceFlags
	onLost string

	signals  chan os.Signal
	events   chan map[string]any // to be written, see event
	answered atomic.Bool         // the daemon has, so that what is waited for is others
}

// maxEvents is more than a run has.
const maxEvents = 16

const lockLong = `lock takes the lock NAME in LOCKSPACE, runs COMMAND, and gives the lock up when
COMMAND has ended. Without COMMAND it takes the lock and gives it up at once,
which waits until others have given it up.

COMMAND's exit status becomes lockctl's, 128 + signal if a signal ended it. Else:

    1  error, such as no connection
    2  wrong use
    3  --no-wait, and the lock is held by others
    4  not granted within --timeout
    5  the lock was lost while COMMAND ran, or before, if NAME was not --new
  126  COMMAND cannot be started
  127  COMMAND is not found
  128 + signal, if one came while lockctl waited for the lock

COMMAND finds in its environment LOCKIFY_TOKEN, the fencing token of the lock (a
decimal number that grows with each exclusive grant; storage that checks it
refuses who has lost the lock), and LOCKIFY_VALUE, the value stored with the
lock by its last writer, if there is one, without zero bytes at its end.

A node that does not answer within 10 s is an error, as is one without quorum, or
one that ends while lockctl waits for the lock. But if --addr names several, lockctl
goes on to the next one from a node without quorum, until it has asked all, and
unless there is --no-wait, from one that has ended.

The lock is lost when the connection to the node breaks, when the node ends, or
when a name taken with --new was not new. COMMAND must not go on then: it is
killed at once (SIGKILL), and the processes it has started, unless
--on-lost=ignore. The same happens if lockctl itself is killed: a shell beside COMMAND
waits for that.

SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on to COMMAND and the processes
it has started. In the foreground of a terminal, where ^C reaches COMMAND by
itself, SIGINT and SIGQUIT are not passed on, and only COMMAND itself is killed (if
lockctl is, on Linux only).`

func lockCommand(o *options) *cobra.Command {
	r := &lockRun{options: o}
	cmd := &cobra.Command{
		Use: "lock LOCKSPACE NAME [flags] [-- COMMAND [ARG]...]", Short: "Hold a lock while a command runs", Long: lockLong,
		Example: `  # only one backup at a time in the cluster
  lockctl lock storage nightly-backup -- backup --all

  # or not at all if one is running
  lockctl lock storage nightly-backup --no-wait -- backup --all

  # many readers, for at most a minute of waiting
  lockctl lock storage catalogue --mode PR --timeout 1m -- report

  # leave a value for the next holder, who reads $LOCKIFY_VALUE
  lockctl lock storage leader --value "$HOSTNAME" -- serve`,
		Args: r.args,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.setValue = cmd.Flags().Changed("value")
			return r.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&r.modeName, "mode", "EX", "lock `MODE`: NL, CR, CW, PR, PW or EX")
	flags.BoolVar(&r.noWait, "no-wait", false, "fail with status 3 if the lock is held by others")
	flags.DurationVar(&r.timeout, "timeout", 0, "fail with status 4 if the lock is not granted within this `TIME` (default: wait for ever)")
	flags.BoolVar(&r.isNew, "new", false, "NAME has just been created, nobody else can know it: take it without asking; COMMAND starts when the cluster knows it")
	flags.StringVar(&r.value, "value", "", "store this `TEXT` with the lock when it is given up; needs --mode PW or EX")
	r.spaceFlags.add(cmd)
	flags.StringVar(&r.onLost, "on-lost", "kill", "`WHAT` to do with COMMAND when the lock is lost: kill or ignore")
	return cmd
}

// args checks the arguments: two, and behind -- the command.
func (r *lockRun) args(cmd *cobra.Command, args []string) error {
	own := args
	if n := cmd.ArgsLenAtDash(); n >= 0 {
		own, r.command = args[:n], args[n:]
		if len(r.command) == 0 {
			return &exitStatus{exitUsage, errors.New("there is no command behind --")}
		}
	}
	if len(own) > 2 {
		return &exitStatus{exitUsage, fmt.Errorf("argument %q is one too many; a command goes behind --", own[2])}
	}
	if err := exactArgs("LOCKSPACE", "NAME")(cmd, own); err != nil {
		return err
	}
	if cmd.Flags().Changed("timeout") && r.timeout <= 0 {
		return &exitStatus{exitUsage, fmt.Errorf("--timeout %v, want more than 0; --no-wait does not wait", r.timeout)}
	}
	r.space, r.name = own[0], own[1]
	return r.check()
}

func (r *lockRun) check() error {
	bad := func(format string, args ...any) error { return &exitStatus{exitUsage, fmt.Errorf(format, args...)} }
	var ok bool
	if r.mode, ok = lockspace.ParseMode(r.modeName); !ok {
		return bad("--mode %q, want NL, CR, CW, PR, PW or EX", r.modeName)
	}
	switch {
	case r.onLost != "kill" && r.onLost != "ignore":
		return bad("--on-lost %q, want kill or ignore", r.onLost)
	case r.value != "" && r.mode != lockify.PW && r.mode != lockify.EX:
		return bad("--value needs --mode PW or EX, not %v", r.mode)
	}
	if err := r.spaceFlags.check(); err != nil {
		return err
	}
	if len(r.value) > r.valueSize {
		return bad("--value has %d bytes, at most %d (--value-size)", len(r.value), r.valueSize)
	}
	return nil
}

// run takes the lock, runs the command, gives the lock up.
func (r *lockRun) run(ctx context.Context) error {
	r.signals = make(chan os.Signal, 8)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) { // as by nohup, for the command, too
			signal.Notify(r.signals, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // else the end of who reads the events ends this
	r.events = make(chan map[string]any, maxEvents)
	flush := writeEvents(r.stderr, r.events)
	defer flush()
	defer close(r.events)
	c, l, err := r.take(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	r.event("granted", map[string]any{"mode": l.Mode().String(), "token": l.Token()})
	if err = r.confirmed(l); err == nil && len(r.command) > 0 {
		err = r.hold(l)
	}
	return r.giveUp(ctx, l, err)
}

// confirmed waits until the cluster knows a name taken with --new. Until then its token is not to be
// shown to anybody, and who has ended would never hear that the name was another's.
func (r *lockRun) confirmed(l *lockify.Lock) error {
	if !r.isNew {
		return nil
	}
	select {
	case <-l.Confirmed():
	case s := <-r.signals:
		return &exitStatus{exitSignal + number(s), fmt.Errorf("%v while the cluster was told of %q", s, r.name)}
	}
	if l.Valid() {
		return nil
	}
	r.event("lost", nil)
	return &exitStatus{exitLost, fmt.Errorf("%q was not new, or the lock on it was lost, before the command was started", r.name)}
}

// take gets the lock. A signal or the end of the timeout withdraws the request.
func (r *lockRun) take(ctx context.Context) (*lockify.Client, *lockify.Lock, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if r.timeout > 0 {
		t := time.AfterFunc(r.timeout, func() {
			cancel(&exitStatus{exitTimeout, r.late()})
		})
		defer t.Stop()
	}
	done := make(chan struct{})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		select {
		case s := <-r.signals:
			cancel(&exitStatus{exitSignal + number(s), fmt.Errorf("%v while waiting for %q", s, r.name)})
		case <-done:
		}
	}()
	c, l, err := r.dialAndLock(ctx)
	close(done)
	<-watching
	if ctx.Err() != nil { // a lock that was granted meanwhile goes with the connection
		if c != nil {
			c.Close()
		}
		return nil, nil, context.Cause(ctx)
	}
	if errors.Is(err, lockify.ErrWouldBlock) {
		err = &exitStatus{exitWouldBlock, fmt.Errorf("%q is held by others", r.name)}
	}
	return c, l, err
}

// late says that the lock was not granted in time, and whether for want of a daemon: who reads
// it looks at others' locks else, or at the wrong address for ever.
func (r *lockRun) late() error {
	if r.answered.Load() {
		return fmt.Errorf("%q was not granted within %v", r.name, r.timeout)
	}
	return fmt.Errorf("%q was not granted within %v: no answer of %s (--addr)", r.name, r.timeout, r.addr)
}

// dialAndLock waits for the lock at one daemon, and at another one if that ends meanwhile, or
// is cut off from its cluster.
func (r *lockRun) dialAndLock(ctx context.Context) (*lockify.Client, *lockify.Lock, error) {
	addrs := strings.Split(r.addr, ",")
	alone := 0 // daemons without quorum, in a row
	for {
		c, l, err := r.lockAt(ctx, strings.Join(addrs, ","))
		var wait time.Duration
		switch {
		case errors.Is(err, lockify.ErrSessionLost) && !r.noWait && len(addrs) > 1:
			alone, wait = 0, againTime
		case errors.Is(err, lockify.ErrNoQuorum) && alone+1 < len(addrs):
			alone++
		default:
			return c, l, err
		}
		addrs = append(addrs[1:], addrs[0])
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// againTime is between the end of a connection and the next one.
const againTime = 100 * time.Millisecond

// lockAt waits for the lock at the first daemon that answers.
func (r *lockRun) lockAt(ctx context.Context, addr string) (*lockify.Client, *lockify.Lock, error) {
	r.answered.Store(false)
	c, s, err := r.connect(ctx, addr, r.space, &r.spaceFlags)
	if err != nil {
		return nil, nil, err
	}
	r.answered.Store(true)
	opts := []lockify.Option{lockify.ReadValue()}
	if r.noWait {
		opts = append(opts, lockify.NoQueue())
	}
	if r.isNew {
		opts = append(opts, lockify.New())
	}
	var l *lockify.Lock
	lock := func(ctx context.Context) (err error) {
		l, err = s.Lock(ctx, r.name, r.mode, opts...)
		return err
	}
	if r.noWait {
		err = r.atOnce(ctx, addr, lock)
	} else {
		err = lock(ctx)
	}
	if err != nil {
		c.Close()
		if errors.Is(err, lockify.ErrSessionLost) {
			err = fmt.Errorf("%s: connection lost while waiting: %w", addr, err)
		}
		return nil, nil, err
	}
	return c, l, nil
}

// unlockTime bounds giving the lock up; the end of the connection does it too.
const unlockTime = 5 * time.Second

// giveUp unlocks after the command has ended with err.
func (r *lockRun) giveUp(ctx context.Context, l *lockify.Lock, err error) error {
	lost := true
	select {
	case <-l.Lost():
	default:
		uerr := r.unlock(ctx, l)
		lost = errors.Is(uerr, lockify.ErrLost) || errors.Is(uerr, lockify.ErrClosed)
		if err == nil {
			err = uerr
		}
	}
	var said *exitStatus // the command's, or that it was killed because of the loss
	if lost && (r.onLost == "ignore" || !errors.As(err, &said)) {
		r.event("lost", nil)
		return &exitStatus{exitLost, fmt.Errorf("the lock on %q was lost while it was held", r.name)}
	}
	return err
}

func (r *lockRun) unlock(ctx context.Context, l *lockify.Lock) error {
	ctx, cancel := context.WithTimeout(ctx, unlockTime)
	defer cancel()
	var opts []lockify.Option
	if r.setValue {
		opts = append(opts, lockify.WithValue([]byte(r.value)))
	}
	return l.Unlock(ctx, opts...)
}

// event prints what has happened, one line of JSON, on the standard error:
// the standard output belongs to the command. Only with --json.
func (r *lockRun) event(what string, more map[string]any) {
	if !r.json {
		return
	}
	m := map[string]any{"event": what, "lockspace": r.space, "name": r.name}
	for k, v := range more {
		m[k] = v
	}
	r.events <- m
}

// environment is what the command finds, beside lockctl's own.
func (r *lockRun) environment(l *lockify.Lock) []string {
	// lockctl may itself run under a lock; what it found is not the command's.
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "LOCKIFY_TOKEN=") || strings.HasPrefix(v, "LOCKIFY_VALUE=")
	})
	env = append(env, fmt.Sprintf("LOCKIFY_TOKEN=%d", l.Token()))
	if v, ok := l.Value(); ok {
		// A variable can't hold zero bytes; a value that does is not text.
		if text := strings.TrimRight(string(v), "\x00"); !strings.Contains(text, "\x00") {
			env = append(env, "LOCKIFY_VALUE="+text)
		}
	}
	return env
}

func number(s os.Signal) int {
	n, _ := s.(syscall.Signal) // those of os/signal are
	return int(n)
}
