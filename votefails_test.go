//go:build linux

package lockify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// diskFull lets what is open of the file be on a disk that is full.
func diskFull(t *testing.T, file string) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	expect(t, "OpenFile", err, nil)
	defer full.Close()
	open, err := filepath.Glob("/proc/self/fd/*")
	expect(t, "Glob", err, nil)
	found := false
	for _, link := range open {
		if to, err := os.Readlink(link); err != nil || to != file {
			continue
		}
		var fd int
		_, err := fmt.Sscanf(filepath.Base(link), "%d", &fd)
		expect(t, "Sscanf", err, nil)
		expect(t, "Dup3", syscall.Dup3(int(full.Fd()), fd, syscall.O_CLOEXEC), nil)
		found = true
	}
	if !found {
		t.Fatal("nobody has opened", file)
	}
}

// TestVoteFails: a node whose disk is full says so to its program, which has its locks as long as
// the others vote.
func TestVoteFails(t *testing.T) {
	for _, size := range []int{1, 3} {
		t.Run(fmt.Sprint(size, " nodes"), func(t *testing.T) { voteFails(t, size) })
	}
}

func voteFails(t *testing.T, size int) {
	ctx, data := testContext(t), ""
	nodes := joinedAs(t, size, func(c *Config) {
		if size == 1 { // its end is waited for
			c.Lease = time.Second
		}
		if data == "" {
			data = c.Data
		}
	})
	n := nodes[0]
	s, err := n.Open(ctx, "test")
	expect(t, "Open", err, nil)
	l, err := s.Lock(ctx, "held", EX)
	expect(t, "Lock", err, nil)
	expect(t, "the vote", n.VoteErr(), nil)

	until(t, ctx, "all vote", func() bool {
		_, voting := n.part.Raft()
		return len(voting) == size
	})
	diskFull(t, filepath.Join(data, "cluster.db"))
	opens, cancel := context.WithCancel(ctx)
	go func() { // what has to be decided has to be stored
		for i := 0; opens.Err() == nil; i++ {
			_, _ = nodes[size-1].Open(opens, fmt.Sprint("other", i))
		}
	}()
	wait(t, ctx, "the loss of the vote", n.VoteLost())
	cancel()
	expect(t, "the vote", n.VoteErr(), syscall.ENOSPC)
	if size == 1 {
		wait(t, ctx, "the loss of the lock", l.Lost())
		wait(t, ctx, "the end", n.Lost())
		_, lock := s.Lock(ctx, "other", EX)
		_, open := n.Open(ctx, "another")
		for what, err := range map[string]error{"Err": n.Err(), "Ready": n.Ready(ctx), "Lock": lock, "Open": open} {
			if !errors.Is(err, ErrNoQuorum) || !strings.Contains(err.Error(), "is the disk full or failing?") {
				t.Errorf("%s: %v", what, err)
			}
		}
		return
	}
	_, err = n.Open(ctx, "another") // decided by the others
	expect(t, "Open", err, nil)
	expect(t, "Ready", n.Ready(ctx), nil)
	expect(t, "Unlock", l.Unlock(ctx), nil)
	expect(t, "Err", n.Err(), nil)
}
