package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "paused-holder:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return play(ctx, os.Stdout)
	case len(args) == 1 && args[0] == "storage":
		return serve(ctx, os.Stdout)
	case len(args) == 4 && args[0] == "writer":
		return write(ctx, args[1], args[2], args[3], os.Stdin, os.Stdout)
	}
	return errors.New("usage: paused-holder [storage | writer LOCKIFY-ADDRESS STORAGE-URL TEXT]")
}
