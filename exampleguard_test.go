package lockify_test

import (
	"context"
	"fmt"
	"log"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/blockdev"
)

// A disk that programs share is written to only under a lock. Here it is memory; package
// blockdev/nvme/host opens one of another machine, as the host of Session.HostID.
func ExampleGuard() {
	ctx := context.Background()
	space, end := openExample(ctx)
	defer end()
	disk, err := blockdev.NewMemory(1<<20, 4096)
	if err != nil {
		log.Fatal(err)
	}
	ring, err := disk.NewRing(ctx, blockdev.RingConfig{Depth: 8})
	if err != nil {
		log.Fatal(err)
	}
	defer ring.Close()
	write := func(g *lockify.Guarded) {
		g.GetSQE().PrepWrite(0, make([]byte, 4096))
		if _, err := ring.Submit(); err != nil {
			log.Fatal(err)
		}
		if err := ring.Wait(ctx, 1); err != nil {
			log.Fatal(err)
		}
		c, _ := ring.Peek()
		fmt.Println("write:", c.Status)
	}

	lock, err := space.Lock(ctx, "volume-17", lockify.EX)
	if err != nil {
		log.Fatal(err)
	}
	g := lockify.Guard(lock, ring)
	write(g)
	if err := lock.Unlock(ctx); err != nil {
		log.Fatal(err)
	}
	write(g) // somebody else may have the lock by now
	// Output:
	// write: success
	// write: the lock that guards it is not held, or not in a mode for it
}
