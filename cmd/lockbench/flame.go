package main

import (
	"bytes"
	"os"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/perf/flame"
)

func flameCommand() *cobra.Command {
	var title string
	cmd := &cobra.Command{
		Use: "flame PROFILE SVG", Short: "Draw a processor profile as a flame graph", Args: cobra.ExactArgs(2),
		Example: "  lockbench client --depth 128 --profile cpu --profile-dir /tmp/p\n  lockbench flame /tmp/p/lockifyd-1/cpu.pprof server.svg",
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			if title == "" {
				title = args[0]
			}
			var out bytes.Buffer
			if err := flame.Write(&out, in, title); err != nil {
				return err
			}
			return os.WriteFile(args[1], out.Bytes(), 0o644)
		},
	}
	cmd.Flags().StringVar(&title, "title", "", "above the picture (default: the profile's path)")
	return cmd
}
