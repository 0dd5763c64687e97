package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: first ADDRESS-OF-A-LOCKIFYD FILE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, file string) error {
	client, err := lockify.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer client.Close()
	space, err := client.Open(ctx, "storage")
	if err != nil {
		return err
	}
	// Nobody else in the cluster has the name until we unlock it, die, or lose it.
	lock, err := space.Lock(ctx, "counter", lockify.EX)
	if err != nil {
		return err
	}
	if err := increment(file); err != nil {
		return err
	}
	return lock.Unlock(ctx)
}

// increment adds one to the number in a file, which two must not do at once.
func increment(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &n); err != nil {
		return err
	}
	return os.WriteFile(file, fmt.Appendln(nil, n+1), 0o644)
}
