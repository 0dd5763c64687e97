package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
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
its answer is not waited for.

Before, the admin address (--admin) is asked whether any node has LOCKSPACE open,
and, if it is that of node N, how many orphans there are.`,
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
	left, err := o.orphans(ctx, space, node, session)
	if err != nil {
		return err
	}
	c, s, err := o.connect(ctx, o.addr, space, props)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := o.atOnce(ctx, o.addr, func(ctx context.Context) error { return s.Purge(ctx, node, session) }); err != nil {
		return err
	}
	switch {
	case o.json:
		return o.printJSON(map[string]any{"node": node, "orphans": left})
	case left == nil:
		_, err = fmt.Fprintf(o.stdout, "node %d is told to give up its orphans; how many these are only its own admin address says (--admin)\n", node)
	default:
		_, err = fmt.Fprintf(o.stdout, "%s given up\n", count(*left, "orphan"))
	}
	return err
}

// orphans says how many orphans session has left on a node, 0: all have; nil: the node is not
// the one that is asked. A lockspace that no node has open is an error: to connect would make it.
func (o *options) orphans(ctx context.Context, space string, node uint16, session uint64) (left *int, err error) {
	err = o.ask(ctx, func(ctx context.Context, c *admin.Client) error {
		if _, err := c.Why(ctx, space, "*"); err != nil { // of whatever name: it asks all nodes for the lockspace
			return err
		}
		status, err := c.Status(ctx)
		if err != nil || status.Node != node {
			return err
		}
		left = new(int)
		spaces, err := c.Lockspaces(ctx)
		if err != nil || !slices.ContainsFunc(spaces, func(s admin.Lockspace) bool { return string(s.Name) == space }) {
			return err
		}
		_, err = c.Dump(ctx, space, true, func(r *admin.Resource) error {
			for _, q := range queues(r) {
				for _, l := range q.locks {
					if l.Orphan && l.Node == node && (session == 0 || l.Session == session) {
						*left++
					}
				}
			}
			return nil
		})
		return err
	})
	return left, err
}
