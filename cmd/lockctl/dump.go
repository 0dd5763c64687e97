package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
)

func dumpCommand(o *options) *cobra.Command {
	var local, dlm bool
	cmd := &cobra.Command{
		Use: "dump LOCKSPACE", Short: "Write all resources of a lockspace with their queues",
		Long: `dump writes all resources of a lockspace as they come, each as the node has it that is
its master: the queues are complete, up to 16384 locks each, and how many follow is said. The
node that is asked (--admin) asks the others. It is for lockspaces of any size: nothing is
collected, and the nodes go on meanwhile. So a resource whose master changes during the
dump may come twice, or not. Values of locks are there if root or the user of the daemon
asks.

--local writes what the node that is asked sees, also of names that others are the master
of, as lockctl locks does. --json writes one resource in each line, then one with "end".
--dlm writes one lock in each line, as "dlm_tool lockdump" of the kernel's DLM does; that
one shows the locks of one node, this one those of all (or, with --local, as that).`,
		Example: `  lockctl dump storage
  lockctl dump storage --json | gzip > storage.json.gz
  lockctl dump storage --dlm --local`,
		Args: exactArgs("LOCKSPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dlm && o.json {
				return &exitStatus{exitUsage, fmt.Errorf("--dlm is text, --json is not: take one")}
			}
			return o.dump(cmd.Context(), args[0], local, dlm)
		},
	}
	cmd.Flags().BoolVar(&local, "local", false, "what the node that is asked sees, not what each is master of")
	cmd.Flags().BoolVar(&dlm, "dlm", false, "one lock in each line, as dlm_tool lockdump")
	return cmd
}

// dump may take long: no time bounds it as a whole, but that the node answers.
func (o *options) dump(ctx context.Context, space string, local, dlm bool) error {
	c, err := o.reach(ctx)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(o.stdout)
	enc := json.NewEncoder(out)
	trailer, err := c.Dump(ctx, space, local, func(r *admin.Resource) error {
		switch {
		case o.json:
			return enc.Encode(r)
		case dlm:
			return dumpAsDLM(out, r)
		}
		return dumpText(out, r)
	})
	if err == nil && o.json {
		err = enc.Encode(trailer)
	}
	if late := out.Flush(); err == nil {
		err = late
	}
	if err != nil {
		return o.explainAdmin(err)
	}
	return unreached(trailer.Unreached)
}

func dumpText(w io.Writer, r *admin.Resource) error {
	fmt.Fprintf(w, "resource %v role %s master %v directory %d", r.Name, r.Role, nodeOrDash(r.Master), r.Directory)
	if r.ValueHex != "" {
		fmt.Fprintf(w, " value %s version %d", r.ValueHex, r.ValueSeq)
	}
	_, err := fmt.Fprintln(w)
	for _, q := range queues(r) {
		for i := range q.locks {
			l := &q.locks[i]
			wants := l.Wanted
			if wants == "" {
				wants = "--"
			}
			_, err = fmt.Fprintf(w, "  %s %s wants %s node %d lock %v token %d", q.name, l.Granted, wants, l.Node, l.ID, l.Token)
			if l.Orphan {
				_, err = fmt.Fprintf(w, " orphan of session %d", l.Session)
			}
			fmt.Fprintln(w)
		}
	}
	if r.More > 0 {
		_, err = fmt.Fprintf(w, "  and %s\n", count(r.More, "further lock"))
	}
	for i := range r.Bytes {
		b := &r.Bytes[i]
		state := "held"
		if b.Waiting {
			state = "waits"
		}
		_, err = fmt.Fprintf(w, "  bytes %v %s %s node %d session %d owner %d lock %v\n",
			byterange.Range{Start: b.Start, End: b.End}, state, b.Type, b.Node, b.Session, b.Owner, b.ID)
	}
	return err
}

// dumpAsDLM writes locks as dlm_tool does (dlm_controld/dlm_tool in its sources, lockdump):
// where it has the process that holds a lock, there is the node; and modes that are
// not there are IV.
func dumpAsDLM(w io.Writer, r *admin.Resource) (err error) {
	iv := func(mode string) string {
		if mode == "" || mode == "--" {
			return "IV"
		}
		return mode
	}
	for _, q := range queues(r) {
		for i := range q.locks {
			l := &q.locks[i]
			_, err = fmt.Fprintf(w, "id %016x gr %s rq %s node %d master %d %q\n", uint64(l.ID), iv(l.Granted), iv(l.Wanted), l.Node, r.Master, string(r.Name))
		}
	}
	if r.More > 0 {
		_, err = fmt.Fprintf(w, "# %s of %q\n", count(r.More, "further lock"), string(r.Name))
	}
	return err
}

type namedQueue struct {
	name  string
	locks []admin.Lock
}

func queues(r *admin.Resource) []namedQueue {
	return []namedQueue{{"granted", r.Granted}, {"convert", r.Convert}, {"waiting", r.Waiting}}
}
