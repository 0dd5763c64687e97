package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
)

func whyCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "why LOCKSPACE NAME", Short: "Say who has a name, who waits for it, and for whom",
		Long: `why finds the master of a name, on whatever node that is, and shows who holds the name
and who waits for it. The node that is asked (--admin) asks the others over the links
between the nodes, so that their admin addresses need not be reached.

SINCE is how long a lock has been as it is: in the mode that it holds, or waiting.
The owner's node counts it; of byte ranges it is not known. BLOCKED BY names the locks
that exclude the mode wanted, as NODE:LOCK, and how many requests are served first.

Of those in the way, why also shows what else they have in the lockspace, and for what
they wait: "maybe" means that the lock has no owner of its own (see lockify.Owner), so that
it may be something else that its client does. Those names follow, up to 16 in a chain.`,
		Example: `  lockctl why storage nightly-backup
  lockctl why storage nightly-backup --json`,
		Args: exactArgs("LOCKSPACE", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				doc, err := c.Why(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				if o.json {
					err = o.printJSON(doc)
				} else {
					err = printWhy(o.stdout, doc)
				}
				if err != nil {
					return err
				}
				return unreached(doc.Unreached)
			})
		},
	}
}

// unreached is the error that not all nodes have said what they know.
func unreached(list []admin.Unreached) error {
	if len(list) == 0 {
		return nil
	}
	var why []string
	for _, u := range list {
		why = append(why, fmt.Sprintf("node %d: %s", u.Node, u.Error))
	}
	return &exitStatus{exitIncomplete, fmt.Errorf("incomplete: %s", strings.Join(why, "; "))}
}

func printWhy(w io.Writer, doc *admin.Why) error {
	for i := range doc.Names {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := printWhyName(w, doc.Lockspace, &doc.Names[i]); err != nil {
			return err
		}
	}
	if doc.More {
		fmt.Fprintf(w, "\nthe chain goes on beyond these %d names\n", len(doc.Names))
	}
	return nil
}

func printWhyName(w io.Writer, space admin.Name, n *admin.WhyName) error {
	if n.Master == 0 {
		_, err := fmt.Fprintf(w, "%v of lockspace %v: no node says that it is the master, so nobody holds it\n", n.Name, space)
		return err
	}
	fmt.Fprintf(w, "%v of lockspace %v: master node %d, directory node %d; %d granted, %d convert, %d waiting\n",
		n.Name, space, n.Master, n.Directory, n.Totals.Granted, n.Totals.Convert, n.Totals.Waiting)
	var rows [][]any
	for i := range n.Locks {
		l := &n.Locks[i]
		wants := l.Wanted
		if wants == "" {
			wants = "-"
		}
		rows = append(rows, []any{l.Queue, l.Node, whose(l), l.Granted, wants, ago(l.SinceS), l.ID, blockers(l)})
	}
	if rows != nil {
		fmt.Fprintln(w)
		if err := table(w, []any{"QUEUE", "NODE", "WHO", "MODE", "WANTS", "SINCE", "LOCK", "BLOCKED BY"}, rows); err != nil {
			return err
		}
	}
	if err := printWhyBytes(w, n.Bytes); err != nil {
		return err
	}
	for i := range n.Locks {
		printInTheWay(w, &n.Locks[i])
	}
	return nil
}

// whose says who has a lock.
func whose(l *admin.WhyLock) string {
	who := "not known"
	switch {
	case l.Orphan:
		who = fmt.Sprintf("orphan of session %d", l.Session)
	case l.Session != 0:
		who = fmt.Sprintf("%s (session %d%s)", l.Client, l.Session, process(l))
		if l.Client == "" {
			who = fmt.Sprintf("session %d", l.Session)
		}
	case l.Known:
		who = "program of the node"
	}
	if l.Owner != 0 {
		who += fmt.Sprintf(" owner %d", l.Owner)
	}
	return who
}

// process says which process of the node's machine has a lock, as far as is known.
func process(l *admin.WhyLock) string {
	if !strings.HasPrefix(l.Remote, "pid ") {
		return ""
	}
	return ", " + l.Remote
}

// ago shows a time in a few digits.
func ago(seconds *float64) string {
	if seconds == nil {
		return "-"
	}
	d := time.Duration(*seconds * float64(time.Second))
	switch {
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	case d < 48*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.1fd", d.Hours()/24)
}

func blockers(l *admin.WhyLock) string {
	var parts []string
	for _, id := range l.BlockedBy {
		parts = append(parts, fmt.Sprintf("%d:%v", id.Node, id.ID))
	}
	if l.Ahead > 0 {
		parts = append(parts, fmt.Sprintf("%d ahead", l.Ahead))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// printInTheWay shows what whoever is in the way has besides.
func printInTheWay(w io.Writer, l *admin.WhyLock) {
	if len(l.WaitsFor) == 0 && l.Held == 0 {
		return
	}
	fmt.Fprintf(w, "\nnode %d, %s, is in the way\n", l.Node, whose(l))
	for _, wait := range l.WaitsFor {
		sure, what := "and waits", fmt.Sprintf("%s on %v", wait.Wanted, wait.Name)
		if !wait.Sure {
			sure = "and maybe waits"
		}
		if wait.Bytes != "" {
			what = fmt.Sprintf("%s of bytes %s of %v", wait.Wanted, wait.Bytes, wait.Name)
		}
		fmt.Fprintf(w, "  %s for %s since %s\n", sure, what, ago(wait.SinceS))
	}
	for _, h := range l.Holds {
		fmt.Fprintf(w, "  also holds %s on %v\n", h.Mode, h.Name)
	}
	if more := l.Held - len(l.Holds); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}

func printWhyBytes(w io.Writer, all []admin.WhyBytes) error {
	if len(all) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	var rows [][]any
	for i := range all {
		b := &all[i]
		state, by := "held", "-"
		if b.Waiting {
			state = "waiting"
		}
		if len(b.BlockedBy) > 0 {
			by = strings.Join(b.BlockedBy, ", ")
		}
		who := "program of the node"
		if b.Session != 0 {
			who = fmt.Sprintf("%s (session %d)", b.Client, b.Session)
		}
		rows = append(rows, []any{byterange.Range{Start: b.Start, End: b.End}, state, b.Type, b.Node, fmt.Sprintf("%s owner %d", who, b.Owner), by})
	}
	return table(w, []any{"BYTES", "STATE", "TYPE", "NODE", "WHO", "BLOCKED BY"}, rows)
}
