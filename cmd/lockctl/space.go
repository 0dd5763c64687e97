package main

import (
	"context"
	"fmt"

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

// check finds what no lockspace may have.
func (f *spaceFlags) check() error {
	if f.valueSize < 0 || f.valueSize > maxValue {
		return &exitStatus{exitUsage, fmt.Errorf("--value-size %d, want 0 to %d", f.valueSize, maxValue)}
	}
	if _, err := lockify.ParseRanges(f.rule); err != nil {
		return &exitStatus{exitUsage, fmt.Errorf("--rule %q, want none, prefix:N with N from 1 to 63, first:C or last:C with a byte C", f.rule)}
	}
	return nil
}

// maxValue is the largest value of a lockspace, in bytes; see lockify.ValueSize.
const maxValue = 256

func (f *spaceFlags) open(ctx context.Context, c *lockify.Client, space string) (*lockify.Lockspace, error) {
	rule, err := lockify.ParseRanges(f.rule)
	if err != nil {
		return nil, err
	}
	return c.Open(ctx, space, lockify.ValueSize(f.valueSize), rule)
}
