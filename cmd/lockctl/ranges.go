package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/admin"
)

func rangesCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "ranges LOCKSPACE", Short: "Show the delegated name ranges of a lockspace",
		Long: `ranges shows the name ranges that are delegated to the node, and those that the
node, as the directory node of their keys, has delegated to others. STATE:

  asking     the directory node has been asked for it
  owned      the node has it
  returning  the node has it still, and gives it back
  lending    the node is about to hand it to OWNER
  lent       OWNER has it`,
		Example: `  lockctl ranges inodes
  lockctl ranges inodes --json`,
		Args: exactArgs("LOCKSPACE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, c *admin.Client) error {
				all, err := c.Ranges(ctx, args[0])
				if err != nil {
					return err
				}
				if o.json {
					return o.printJSON(all)
				}
				return printRanges(o.stdout, args[0], all)
			})
		},
	}
}

func printRanges(w io.Writer, space string, all []admin.Range) error {
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "no delegated ranges of lockspace %v on this node\n", admin.Name(space))
		return err
	}
	var rows [][]any
	for i := range all {
		r := &all[i]
		rows = append(rows, []any{r.Key, r.State, r.Owner, r.Directory, r.Generation})
	}
	return table(w, []any{"RANGE", "STATE", "OWNER", "DIRECTORY", "GENERATION"}, rows)
}

// delegateRun is what delegate is asked for.
type delegateRun struct {
	space, key string
	back       bool
	spaceFlags
}

func delegateCommand(o *options) *cobra.Command {
	var r delegateRun
	cmd := &cobra.Command{
		Use: "delegate LOCKSPACE KEY --rule RULE", Short: "Hand a range of names to the node, or give it back",
		Long: `delegate has the range of names with this key handed to the node. New names in it
then cost no message there, and one more than otherwise from other nodes. The node
keeps the range until it is given back, with --return, or until a node opens or leaves
the lockspace: then all ranges go back, and the node gets this one anew, unless another
one asks for it first.`,
		Example: `  lockctl delegate inodes group-7/ --rule last:/
  lockctl delegate inodes group-7/ --rule last:/ --return`,
		Args: exactArgs("LOCKSPACE", "KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.rule == "none" {
				return &exitStatus{exitUsage, errors.New("--rule is missing: a lockspace without has no ranges")}
			}
			if err := r.check(); err != nil {
				return err
			}
			r.space, r.key = args[0], args[1]
			return o.delegate(cmd.Context(), &r)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&r.back, "return", false, "give the range back")
	r.spaceFlags.add(cmd)
	return cmd
}

func (o *options) delegate(ctx context.Context, r *delegateRun) error {
	c, s, err := o.connect(ctx, o.addr, r.space, &r.spaceFlags)
	if err != nil {
		return err
	}
	defer c.Close()
	if r.back {
		return s.Return(ctx, r.key)
	}
	return s.Delegate(ctx, r.key)
}
