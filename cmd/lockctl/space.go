package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify"
)

// spaceFlags are the properties of a lockspace, which all its users must give
// alike.
type spaceFlags struct {
	valueSize int
	rule      string
}

func (f *spaceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.valueSize, "value-size", lockify.DefaultValueSize, "`BYTES` of a stored value, the same for all users of LOCKSPACE")
	flags.StringVar(&f.rule, "rule", "none", "`RULE` for range keys, the same for all users of LOCKSPACE: none, prefix:N, first:C or last:C")
}

func (f *spaceFlags) open(ctx context.Context, c *lockify.Client, space string) (*lockify.Lockspace, error) {
	rule, err := lockify.ParseRanges(f.rule)
	if err != nil {
		return nil, &exitStatus{exitUsage, err}
	}
	return c.Open(ctx, space, lockify.ValueSize(f.valueSize), rule)
}
