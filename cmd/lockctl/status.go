package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
)

func statusCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the node, its links and its totals",
		Long: `status shows the node, its links to the others, and how many locks and claims
it has. A claim is a lock taken with --new whose name the cluster does not know
yet.`,
		Example: `  lockctl status
  lockctl status --admin 127.0.0.1:7102 --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				st, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if o.json {
					return o.printJSON(st)
				}
				return printStatus(o.stdout, st)
			})
		},
	}
}

func printStatus(w io.Writer, st *admin.Status) error {
	up := time.Duration(st.UptimeS * float64(time.Second)).Truncate(time.Second)
	t := &st.Totals
	fmt.Fprintf(w, "node %d of cluster %s, instance %v, epoch %d, up %v\n", st.Node, st.Cluster, st.Instance, st.Epoch, up)
	if st.NoMember != "" {
		fmt.Fprintf(w, "no member: %s\n", st.NoMember)
	}
	fmt.Fprintf(w, "%s, %s, %s, %s\n", count(st.Sessions, "client"), count(t.Lockspaces, "lockspace"), count(t.Resources, "resource"), count(t.Locks, "lock"))
	fmt.Fprintf(w, "claims: %d open, %d made, %d confirmed, %d adopted, %d lost, %d refused\n",
		t.Claims.Open, t.Claims.Made, t.Claims.Confirmed, t.Claims.Adopted, t.Claims.Lost, t.Claims.Refused)
	fmt.Fprintf(w, "held behind claims: %d now, %d so far\n", t.Held.Now, t.Held.Total)
	if len(st.Links) == 0 {
		_, err := fmt.Fprintln(w, "no other nodes")
		return err
	}
	fmt.Fprintln(w)
	var rows [][]any
	for i := range st.Links {
		l := &st.Links[i]
		rtt := "-"
		if l.RTTUS > 0 {
			rtt = strconv.FormatFloat(l.RTTUS, 'f', 0, 64) + "us"
		}
		rows = append(rows, []any{l.Peer, l.State, rtt, l.QueuedBytes, l.Resent, l.Reconnects, l.FramesIn, l.FramesOut})
	}
	return table(w, []any{"PEER", "LINK", "RTT", "QUEUED", "RESENT", "RECONNECTS", "FRAMES IN", "OUT"}, rows)
}

func lockspacesCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "lockspaces", Short: "List the lockspaces of the node",
		Example: `  lockctl lockspaces
  lockctl lockspaces --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				all, err := c.Lockspaces(ctx)
				if err != nil {
					return err
				}
				if o.json {
					return o.printJSON(all)
				}
				return printLockspaces(o.stdout, all)
			})
		},
	}
}

func printLockspaces(w io.Writer, all []admin.Lockspace) error {
	var rows [][]any
	for i := range all {
		s := &all[i]
		rows = append(rows, []any{s.Name, s.ID, s.ValueSize, s.Shards, s.Totals.Resources, s.Totals.Locks, s.Totals.Claims.Open})
	}
	return table(w, []any{"LOCKSPACE", "ID", "VALUE SIZE", "SHARDS", "RESOURCES", "LOCKS", "OPEN CLAIMS"}, rows)
}
