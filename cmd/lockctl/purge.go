package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

func purgeCommand(o *options) *cobra.Command {
	var node uint16
	var session uint64
	var props spaceFlags
	cmd := &cobra.Command{
		Use: "purge LOCKSPACE --node N", Short: "Unlock the locks that programs have left behind",
		Long: `purge unlocks orphans: persistent locks whose program has gone, which stay on the
node that it used. lockctl locks shows them, on that node, with the session of
the program. If N is another node than the one that is asked, it is told to, and
its answer is not waited for.`,
		Example: `  # all that programs on node 2 have left
  lockctl purge storage --node 2

  # what one of them has left
  lockctl purge storage --node 2 --session 17`,
		Args: exactArgs("LOCKSPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if node == 0 {
				return &exitStatus{exitUsage, errors.New("--node is missing: whose orphans?")}
			}
			if cmd.Flags().Changed("session") && session == 0 {
				return &exitStatus{exitUsage, errors.New("--session 0, want 1 or more; leave it out for all")}
			}
			if err := props.check(); err != nil {
				return err
			}
			return o.purge(cmd.Context(), args[0], node, session, &props)
		},
	}
	flags := cmd.Flags()
	flags.Uint16Var(&node, "node", 0, "node `N` that has the orphans")
	flags.Uint64Var(&session, "session", 0, "only those that session `S` has left (default: all)")
	props.add(cmd)
	return cmd
}

func (o *options) purge(ctx context.Context, space string, node uint16, session uint64, props *spaceFlags) error {
	c, s, err := o.connect(ctx, o.addr, space, props)
	if err != nil {
		return err
	}
	defer c.Close()
	return o.atOnce(ctx, o.addr, func(ctx context.Context) error { return s.Purge(ctx, node, session) })
}
