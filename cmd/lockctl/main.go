package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lockify-dlm/lockify"
)

// Exit statuses. Those of a command that "lockctl lock" has run pass through.
const (
	exitError      = 1   // it has failed
	exitUsage      = 2   // wrong usage
	exitWouldBlock = 3   // --no-wait, and the lock is held by others
	exitTimeout    = 4   // not granted within --timeout
	exitLost       = 5   // the lock was lost while the command ran, or its name was not --new
	exitIncomplete = 6   // what is shown is not all: some node could not be asked, or is no member
	exitCannotRun  = 126 // the command is there, but can't be started
	exitNotFound   = 127 // there is no such command
	exitSignal     = 128 // + signal that ended the command, or lockctl while it waited
)

// exitStatus is an error that has a status of its own.
type exitStatus struct {
	status int
	err    error // nil: nothing to say
}

func (e *exitStatus) Error() string { return e.err.Error() }
func (e *exitStatus) Unwrap() error { return e.err }

// A command that holds a lock is tied to the life of the thread that started
// it (child_linux.go): the main thread lives as long as the process.
func init() { runtime.LockOSThread() }

// version is what make package calls this build.
var version = "devel"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main without the process around it.
func run(args []string, stdout, stderr io.Writer) int {
	cmd := root(stdout, stderr)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(context.Background())
	var e *exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
	case errors.Is(err, lockify.ErrInvalid):
		e = &exitStatus{exitUsage, err}
	default:
		e = &exitStatus{exitError, err}
	}
	if e.err != nil {
		fmt.Fprintf(stderr, "lockctl: %v\n", e.err)
	}
	return e.status
}

// options are what all subcommands have.
type options struct {
	json   bool
	admin  string
	addr   string
	tls    lockify.TLSFiles
	stdout io.Writer
	stderr io.Writer

	adminTime  time.Duration // bounds a question to the admin address
	sayWaits   time.Duration // after which it is said that lockctl waits there
	clientTime time.Duration // bounds what a daemon answers its clients at once
}

const (
	defaultAdmin = "127.0.0.1:7541"
	defaultAddr  = "unix:///run/lockify/lockify.sock"

	adminTime  = 30 * time.Second
	clientTime = 10 * time.Second
)

const long = `lockctl shows what a lockify node knows, and holds locks while commands run.

status, members, lockspaces, locks and ranges ask the admin address of a lockifyd
(--admin, or $LOCKIFY_ADMIN), and show what that one node knows. why, dump and top have
it ask the others, too; watch and debug are about one node. node changes who is in the
cluster. lock, delegate and purge are clients like any other (--addr, or $LOCKIFY_ADDR);
purge asks the admin address, too.
disk speaks with NVMe/TCP targets. tls makes certificates.

Exit status: 0 done, 1 failed, 2 wrong usage; lockctl help exit-codes has them all.`

func root(stdout, stderr io.Writer) *cobra.Command {
	o := &options{stdout: stdout, stderr: stderr, adminTime: adminTime, sayWaits: sayWaits, clientTime: clientTime}
	cmd := &cobra.Command{
		Use: "lockctl", Short: "Look at a lockify node; hold a lock while a command runs", Long: long, Version: version,
		Example: `  lockctl status
  lockctl locks storage
  lockctl lock storage nightly-backup -- backup --all`,
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &exitStatus{exitUsage, fmt.Errorf("which command? there are status, members, node, lockspaces, locks, why, dump, top, watch, debug, ranges, lock, purge, delegate, disk and tls; see %s --help", cmd.Name())}
		},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			err := fmt.Errorf("no command %q; there are status, members, node, lockspaces, locks, why, dump, top, watch, debug, ranges, lock, purge, delegate, disk and tls", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				err = fmt.Errorf("no command %q; did you mean %s?", args[0], near[0])
			}
			return &exitStatus{exitUsage, err}
		},
		// cobra offers names that are this many edits away
		SuggestionsMinimumDistance: 2,
	}
	flags := cmd.PersistentFlags()
	flags.BoolVar(&o.json, "json", false, "print JSON")
	flags.StringVar(&o.admin, "admin", env("LOCKIFY_ADMIN", defaultAdmin), "admin `ADDR` of a lockifyd, host:port; $LOCKIFY_ADMIN")
	flags.StringVar(&o.addr, "addr", env("LOCKIFY_ADDR", defaultAddr), "client `ADDR` of a lockifyd, unix:///path or tcp://host:port, or several with commas between them, to be tried in turn; $LOCKIFY_ADDR")
	flags.StringVar(&o.tls.Cert, "tls-cert", env("LOCKIFY_TLS_CERT", ""), "`FILE` with this client's certificate (lockctl tls client), for --addr tcp://...; $LOCKIFY_TLS_CERT")
	flags.StringVar(&o.tls.Key, "tls-key", env("LOCKIFY_TLS_KEY", ""), "`FILE` with its key; $LOCKIFY_TLS_KEY")
	flags.StringVar(&o.tls.CA, "tls-ca", env("LOCKIFY_TLS_CA", ""), "`FILE` with the certificate of the cluster's CA; $LOCKIFY_TLS_CA")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitStatus{exitUsage, fmt.Errorf("%w; see %s --help", flagError(err), cmd.CommandPath())}
	})
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	for _, c := range []*cobra.Command{statusCommand(o), lockspacesCommand(o), locksCommand(o), whyCommand(o), dumpCommand(o), topCommand(o), watchCommand(o), rangesCommand(o), membersCommand(o), purgeCommand(o)} {
		cmd.AddCommand(o.asks(c))
	}
	cmd.AddCommand(debugCommand(o), exitCodes(), lockCommand(o), delegateCommand(o), nodeCommand(o), diskCommand(o), tlsCommand(o))
	cmd.InitDefaultHelpCmd()
	cmd.InitDefaultCompletionCmd("completion")
	for _, c := range cmd.Commands() {
		switch c.Name() {
		case "help":
			c.Args = helpArgs
		case "completion":
			c.Args = completionArgs
			c.RunE = func(*cobra.Command, []string) error { return nil } // Args has refused
		}
	}
	return cmd
}

// completionArgs refuses a shell that is not there: cobra would show its help.
func completionArgs(_ *cobra.Command, args []string) error {
	err := errors.New("of which shell? there are bash, fish, powershell and zsh")
	if len(args) > 0 {
		err = fmt.Errorf("no completion for %q; there are bash, fish, powershell and zsh", args[0])
	}
	return &exitStatus{exitUsage, err}
}

// helpArgs refuses to help with what is not there: cobra would show the help of what is above it.
func helpArgs(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	switch {
	case err != nil:
		return &exitStatus{exitUsage, err}
	case len(rest) == 0:
		return nil
	case found == cmd.Root():
		return found.Args(found, rest)
	}
	return &exitStatus{exitUsage, fmt.Errorf("no command %q of %s; see %s --help", rest[0], found.CommandPath(), found.CommandPath())}
}

func env(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// exactArgs is cobra.ExactArgs with our exit status and the names of what is
// missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return &exitStatus{exitUsage, fmt.Errorf("%s is missing; see %s --help", names[len(args)], cmd.CommandPath())}
		case len(args) > len(names):
			return &exitStatus{exitUsage, fmt.Errorf("argument %q is one too many; see %s --help", args[len(names)], cmd.CommandPath())}
		}
		for i, arg := range args { // all are names, or begin some
			if len(arg) == 0 || len(arg) > maxName {
				return &exitStatus{exitUsage, fmt.Errorf("%s of %d bytes, must be 1 to %d", names[i], len(arg), maxName)}
			}
		}
		return nil
	}
}

// maxName is the longest name, in bytes; see lockify.ErrName.
const maxName = 64

// flagError says of a number that is none what it is wanted to be, and not which function of Go has
// refused it.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	var number *strconv.NumError
	if !errors.As(err, &bad) || !errors.As(err, &number) {
		return err
	}
	want := "a number"
	if number.Func == "ParseBool" {
		want = "true or false"
	}
	return fmt.Errorf("--%s %q: %w, want %s", bad.GetFlag().Name, bad.GetValue(), number.Err, want)
}
