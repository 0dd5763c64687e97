package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "lockbench:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "lockbench",
		Short:         "Measure lockify",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(replayCommand(), workerCommand(), demoCommand(), simCommand(), recoveryCommand(), chaosCommand(), diskCommand(), diskWorkerCommand(), soakCommand(), securityCommand(), securityWorkerCommand(),
		clientWorkerCommand(), peersCommand(), localCommand(), clientCommand(), clusterCommand(), contendCommand(), growthCommand(), flameCommand())
	return cmd
}
