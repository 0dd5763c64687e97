package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// statuses are all exit statuses of lockctl's own.
var statuses = []struct {
	status int
	what   string
}{
	{0, "done"},
	{exitError, "failed: no daemon there, it refuses, or it has ended; lock: not granted for another reason than those below"},
	{exitUsage, "wrong usage: of commands, flags or arguments"},
	{exitWouldBlock, "lock --no-wait: the lock is held by others"},
	{exitTimeout, "lock --timeout: not granted in time"},
	{exitLost, "lock: the lock was lost while the command ran, or its name was not --new"},
	{exitIncomplete, "why, dump, top: what is shown is true, but not all: some node did not answer; members: the node that was asked is no member"},
	{exitCannotRun, "lock: the command is there, but cannot be started"},
	{exitNotFound, "lock: there is no such command"},
	{exitSignal, "lock: and the number of the signal that has ended the command, or lockctl while it waited: 143 for SIGTERM"},
}

// exitCodes is the help about them.
func exitCodes() *cobra.Command {
	var b strings.Builder
	b.WriteString("lockctl ends with one of these statuses. One of a command that \"lockctl lock\" has run\npasses through, and so may be the same as one of lockctl's own.\n")
	for _, s := range statuses {
		number := fmt.Sprint(s.status)
		if s.status == exitSignal {
			number += "+N"
		}
		fmt.Fprintf(&b, "\n  %-6s %s", number, s.what)
	}
	return &cobra.Command{Use: "exit-codes", Short: "The exit statuses of lockctl", Long: b.String()}
}
