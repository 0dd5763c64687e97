package fence_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/fence"
)

// A holder is stopped, for longer than its lock lasts, between its decision to
// write and the write. Meanwhile its client is declared dead, and somebody else
// gets the lock. When it goes on, it knows nothing of that. The storage server does.
func Example() {
	ctx := context.Background()
	node, err := lockify.StartNode(ctx, lockify.Config{ID: 1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close(ctx)
	space, err := node.Open(ctx, "disks")
	if err != nil {
		log.Fatal(err)
	}

	// The storage server: one Gate, asked with each request.
	var gate fence.Gate
	write := func(name string, token uint64, what string) {
		err := gate.Do(name, token, func() error {
			fmt.Println("written:", what)
			return nil
		})
		if errors.Is(err, fence.ErrStale) {
			fmt.Println("refused:", what)
		}
	}

	first, err := space.Lock(ctx, "volume/7", lockify.EX)
	if err != nil {
		log.Fatal(err)
	}
	write("volume/7", first.Token(), "the first holder's data")
	token := first.Token() // ... and here it is stopped

	if err := first.Unlock(ctx); err != nil { // so the cluster takes its lock away
		log.Fatal(err)
	}
	second, err := space.Lock(ctx, "volume/7", lockify.EX)
	if err != nil {
		log.Fatal(err)
	}
	write("volume/7", second.Token(), "the second holder's data")

	write("volume/7", token, "the first holder's late data")
	// Output:
	// written: the first holder's data
	// written: the second holder's data
	// refused: the first holder's late data
}
