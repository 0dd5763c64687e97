package chaos

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestMain makes this binary a writer when a test starts it as one.
func TestMain(m *testing.M) {
	if os.Getenv("CHAOS_WRITER") == "" {
		os.Exit(daemontest.Main(m))
	}
	if err := writer(context.Background(), os.Getenv("CHAOS_WRITER"), os.Getenv("CHAOS_DISK")); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

const diskNQN = "nqn.2026-01.example.lockify:shared"

// writer locks "volume", opens the disk, and then writes to the disk once for each line that it reads,
// whatever has become of its lock meanwhile: it is the program that does not look.
func writer(ctx context.Context, daemon, disk string) error {
	client, err := lockify.Dial(ctx, daemon)
	if err != nil {
		return err
	}
	defer client.Close()
	space, err := client.Open(ctx, "storage")
	if err != nil {
		return err
	}
	lock, err := space.Lock(ctx, "volume", lockify.EX)
	if err != nil {
		return err
	}
	fmt.Println("locked")
	id, _ := client.Session().HostID()
	dev, err := host.Open(ctx, host.Config{Addr: disk, SubNQN: diskNQN, HostID: id})
	if err != nil {
		return err
	}
	defer dev.Close()
	ring, err := dev.NewRing(ctx, blockdev.RingConfig{Depth: 1})
	if err != nil {
		return err
	}
	defer ring.Close()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		ring.GetSQE().PrepWrite(0, make([]byte, 4096))
		if _, err := ring.Submit(); err != nil {
			return err
		}
		if err := ring.Wait(ctx, 1); err != nil {
			return err
		}
		c, _ := ring.Peek()
		fmt.Printf("write: %v, lock valid: %v\n", c.Status, lock.Valid())
	}
	return nil
}
