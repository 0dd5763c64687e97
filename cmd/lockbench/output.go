package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// output is what all commands do with what they have found, and with how far they are.
type output struct {
	json  string
	quiet bool
}

func (o *output) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.json, "json", "", "write the report as JSON to this file; -: to standard output, instead of what is printed there")
	cmd.Flags().BoolVarP(&o.quiet, "quiet", "q", false, "no progress")
}

func (o *output) progress(cmd *cobra.Command) *progress {
	return newProgress(cmd.ErrOrStderr(), o.quiet)
}

// report has v printed for people, and writes it where it is to go; if that is standard
// output, nothing else goes there.
func report[T any](o *output, cmd *cobra.Command, v T, print func(io.Writer, T) error) error {
	if o.json == "" {
		return print(cmd.OutOrStdout(), v)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if o.json == "-" {
		_, err = cmd.OutOrStdout().Write(b)
		return err
	}
	return errors.Join(os.WriteFile(o.json, b, 0o644), print(cmd.OutOrStdout(), v))
}
