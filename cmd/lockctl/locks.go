package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
)

func locksCommand(o *options) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use: "locks LOCKSPACE", Short: "Show the resources of a lockspace with their queues",
		Long: `locks shows the resources that the node knows, and for each its three queues:

  granted  locks that are held
  convert  locks that are held and wait for another mode
  waiting  locks that are not held yet

The queues are complete on the master of a resource; other nodes show their own
locks only. ROLE says what the node is to the resource: master, remote (another
node is), lookup (asks the directory node who is), claimed (master by its own
word, not yet confirmed), adopting (such a claim met another master), unused
(nothing but a directory entry). ORPHAN OF says which session has left a
persistent lock behind; only the node that it used knows. See lockctl purge.

Where byte ranges are locked, or waited for, a second table has them. OWNER is
the program's number for whoever locks, behind its session's if it has one.`,
		Example: `  lockctl locks storage
  lockctl locks storage --limit 20 --json`,
		Args: exactArgs("LOCKSPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > admin.MaxLimit {
				return &exitStatus{exitUsage, fmt.Errorf("--limit %d, want 1 to %d", limit, admin.MaxLimit)}
			}
			return o.ask(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				return o.locks(ctx, c, args[0], limit)
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", admin.DefaultLimit, "show at most `N` resources")
	return cmd
}

// locksDocument is the answer with --json.
type locksDocument struct {
	Lockspace admin.Name       `json:"lockspace"`
	Resources []admin.Resource `json:"resources"`
	Truncated bool             `json:"truncated"` // there are more
}

func (o *options) locks(ctx context.Context, c *admin.Client, space string, limit int) error {
	doc := locksDocument{Lockspace: admin.Name(space), Resources: []admin.Resource{}}
	var err error
	doc.Truncated, err = c.Locks(ctx, space, limit, func(r *admin.Resource) error {
		doc.Resources = append(doc.Resources, *r)
		return nil
	})
	if err != nil {
		return err
	}
	if o.json {
		return o.printJSON(doc)
	}
	return printLocks(o.stdout, &doc)
}

func printLocks(w io.Writer, doc *locksDocument) error {
	if len(doc.Resources) == 0 {
		_, err := fmt.Fprintf(w, "no resources in lockspace %v on this node\n", doc.Lockspace)
		return err
	}
	var rows [][]any
	for i := range doc.Resources {
		rows = append(rows, resourceRows(&doc.Resources[i])...)
	}
	if err := table(w, []any{"RESOURCE", "ROLE", "MASTER", "DIRECTORY", "QUEUE", "NODE", "MODE", "WANTS", "LOCK", "TOKEN", "ORPHAN OF"}, rows); err != nil {
		return err
	}
	if err := printBytes(w, doc); err != nil {
		return err
	}
	for i := range doc.Resources {
		if r := &doc.Resources[i]; r.More > 0 {
			fmt.Fprintf(w, "%v has %s\n", r.Name, count(r.More, "further lock"))
		}
	}
	if doc.Truncated {
		_, err := fmt.Fprintf(w, "there are more than these %d; see --limit\n", len(doc.Resources))
		return err
	}
	return nil
}

// resourceRows has one row for each lock; the resource stands in the first.
func resourceRows(r *admin.Resource) [][]any {
	var rows [][]any
	first := []any{r.Name, r.Role, nodeOrDash(r.Master), r.Directory}
	for _, q := range queues(r) {
		for i := range q.locks {
			l := &q.locks[i]
			wants := "-"
			if l.Wanted != "" {
				wants = l.Wanted
			}
			orphan := "-"
			if l.Orphan {
				orphan = fmt.Sprint("session ", l.Session)
			}
			rows = append(rows, append(first, q.name, l.Node, l.Granted, wants, l.ID, l.Token, orphan))
			first = []any{"", "", "", ""}
		}
	}
	if rows == nil {
		rows = [][]any{append(first, "-", "-", "-", "-", "-", "-", "-")}
	}
	return rows
}

// printBytes shows the byte ranges of all resources, if there are any.
func printBytes(w io.Writer, doc *locksDocument) error {
	var rows [][]any
	for i := range doc.Resources {
		rows = append(rows, byteRows(&doc.Resources[i])...)
	}
	if rows == nil {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return table(w, []any{"RESOURCE", "BYTES", "STATE", "TYPE", "NODE", "OWNER", "LOCK"}, rows)
}

// byteRows has one row for each byte range of a resource, which stands in the
// first.
func byteRows(r *admin.Resource) (rows [][]any) {
	first := any(r.Name)
	for i := range r.Bytes {
		b := &r.Bytes[i]
		state, owner := "held", fmt.Sprint(b.Owner)
		if b.Waiting {
			state = "waiting"
		}
		if b.Session != 0 {
			owner = fmt.Sprintf("session %d: %d", b.Session, b.Owner)
		}
		rows = append(rows, []any{first, byterange.Range{Start: b.Start, End: b.End}, state, b.Type, b.Node, owner, b.ID})
		first = ""
	}
	return rows
}

func nodeOrDash(id uint16) any {
	if id == 0 {
		return "-"
	}
	return id
}
