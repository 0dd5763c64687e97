package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestBar: a member that is gone stays one until it has been kept from the disks, however
// often that fails; what is in the way can be asked for.
func TestBar(t *testing.T) {
	t.Parallel()
	net, dir := newNetwork(), t.TempDir()
	tries := make(chan uint64)
	answers := make(chan error)
	bar := func(ctx context.Context, instance uint64) error {
		select {
		case tries <- instance:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-answers:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	one := net.node(t, 1, func(c *Config) {
		founder(dir)(c)
		c.Bar, c.Voters = bar, 1
	}).join()
	two := net.node(t, 2, joiner("")).join()
	one.openSpace("s", "")
	two.openSpace("s", "")
	one.awaitView(t, "s 2: 1 2")
	two.stop()
	gone := two.starts<<16 | 2
	tried := func() (instance uint64) {
		t.Helper()
		select {
		case instance = <-tries:
		case <-time.After(30 * time.Second):
			t.Fatal("nobody is barred")
		}
		return instance
	}
	if in := tried(); in != gone {
		t.Fatalf("barred %x, not %x", in, gone)
	}
	answers <- errors.New("no way to the disk")
	tried() // again
	if why := one.agent.Bars()[gone]; !strings.Contains(why, "no way") {
		t.Fatalf("in the way: %q", why)
	}
	one.awaitView(t, "s 2: 1 2")
	answers <- nil
	one.awaitView(t, "s 3: 1")
	if len(one.agent.Bars()) > 0 {
		t.Fatal("still barring")
	}
}
