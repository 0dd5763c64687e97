package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
)

func membersCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "members", Short: "Show who is in the cluster, and who has a vote",
		Long: `members shows the nodes of the cluster as the node that is asked knows them: what has
been agreed, and its own links. A vote counts "soon" when the node has yet to get what it
is to vote about. A node with a vote that is "down" is no member now, but
keeps its vote for when it comes back. One that has given its vote up "ends" counting
soon; until then more than half of all that count must live. A node in state "fencing" has not renewed its lease,
and the leader, which alone shows this, is keeping it from the shared disks.

On a node that is no member, or not yet, members says why, and ends with status 6.`,
		Example: `  lockctl members
  lockctl members --admin 127.0.0.1:7102 --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				m, err := c.Members(ctx)
				if err != nil {
					return err
				}
				if o.json {
					err = o.printJSON(m)
				} else {
					err = printMembers(o.stdout, m)
				}
				if err == nil && m.Waits != "" {
					err = &exitStatus{exitIncomplete, errors.New("incomplete: this node is no member")}
				}
				return err
			})
		},
	}
}

func printMembers(w io.Writer, m *admin.Members) error {
	if m.Number == 0 && m.Waits == "" {
		fmt.Fprintf(w, "cluster %s, membership is fixed\n", m.Cluster)
	} else if m.Number != 0 {
		fmt.Fprintf(w, "cluster %s, number %v, version %d, leases of %v\n", m.Cluster, m.Number, m.Version, time.Duration(m.LeaseMS*float64(time.Millisecond)))
	}
	if m.Waits != "" {
		fmt.Fprintf(w, "this node is no member: %s\n", m.Waits)
	}
	if len(m.Members) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	var rows [][]any
	for i := range m.Members {
		n := &m.Members[i]
		vote := "-"
		switch {
		case n.Vote && n.Node == m.Leader:
			vote = "leader"
		case n.Vote && m.Leader != 0 && !n.Voting:
			vote = "soon"
		case n.Vote:
			vote = "vote"
		case n.Voting:
			vote = "ends"
		case n.CanVote:
			vote = "none"
		}
		addr := n.Addr
		if addr == "" {
			addr = "-"
		}
		rows = append(rows, []any{n.Node, n.State, vote, n.Link, n.Lockspaces, addr})
	}
	if err := table(w, []any{"NODE", "STATE", "VOTE", "LINK", "LOCKSPACES", "ADDRESS"}, rows); err != nil {
		return err
	}
	for i := range m.Members {
		if n := &m.Members[i]; n.Fence != "" {
			fmt.Fprintf(w, "\nnode %d could not be kept from the disks, so that what it held is not free: %s\n", n.Node, n.Fence)
		}
	}
	return nil
}

func nodeCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "node", Short: "Change who is in the cluster, or has a vote",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &exitStatus{exitUsage, fmt.Errorf("which change? there are leave, remove and promote; see %s --help", cmd.CommandPath())}
		},
	}
	cmd.AddCommand(
		o.asks(changeCommand(o, "leave", "Let the node that is asked leave the cluster for good", `leave ends the node that is asked (--admin): the locks of its clients are released, its
vote is given up, and its lockifyd ends. The others go on at once.`)),
		o.asks(changeCommand(o, "remove", "Take a node out of the cluster", `remove takes a node out of the cluster that does not leave by itself, with its vote. What
it holds is free when its lease has ended. If it still runs it notices, loses its locks,
and joins anew: end it first if it should stay out.`)),
		o.asks(changeCommand(o, "promote", "Give a node a vote", `promote gives a member a vote in what is agreed. It needs a data directory. Nodes get one
by themselves as long as there are fewer than the cluster was made for.`)),
	)
	return cmd
}

func changeCommand(o *options, op, short, long string) *cobra.Command {
	use, args, example := op+" NODE", exactArgs("NODE"), fmt.Sprintf("  lockctl node %s 3", op)
	if op == "leave" {
		use, args, example = op, exactArgs(), "  lockctl node leave --admin 127.0.0.1:7103"
	}
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			change := admin.Change{Op: op}
			if len(args) > 0 {
				id, err := strconv.ParseUint(args[0], 10, 16)
				if err != nil || id == 0 {
					return &exitStatus{exitUsage, fmt.Errorf("node %q, want a number from 1 to 65535; see lockctl members", args[0])}
				}
				change.Node = uint16(id)
			}
			return o.ask(cmd.Context(), func(ctx context.Context, c *admin.Client) error { return c.Change(ctx, change) })
		},
	}
}
