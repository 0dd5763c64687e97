package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{Use: "demo", Short: "Show what self-owner notification does", RunE: func(*cobra.Command, []string) error {
		return errors.New("later")
	}}
}
