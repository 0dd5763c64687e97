package kerneltest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// targetRefused: the kernel does not let in everybody, and the host says so.
func targetRefused(g *Guest, t *testing.T) {
	dial := func(nqn string) error {
		ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
		defer cancel()
		c, err := host.Dial(ctx, host.Config{Addr: g.Target, SubNQN: nqn})
		if err == nil {
			c.Close()
		}
		return err
	}
	if err := dial(kernelNQN + ":other"); err == nil || !strings.Contains(err.Error(), "invalid parameters") {
		t.Errorf("a subsystem that is not there: %v", err)
	}
	g.Run(t, "echo 0 >%s/attr_allow_any_host", subsystem)
	defer g.Run(t, "echo 1 >%s/attr_allow_any_host", subsystem)
	if err := dial(kernelNQN); err == nil || !strings.Contains(err.Error(), "host") {
		t.Errorf("a host that is not allowed: %v", err)
	}
}

// targetDisconnect: a device is closed while requests are under way; the kernel serves the
// next one.
func targetDisconnect(g *Guest, t *testing.T) {
	for range 3 {
		dev := targetDevice(g, t, host.Config{DataDigest: true})
		ring, err := dev.NewRing(t.Context(), blockdev.RingConfig{Depth: 32})
		if err != nil {
			t.Fatal(err)
		}
		for i := range int64(32) {
			ring.GetSQE().PrepWrite(i<<18, make([]byte, 1<<18))
		}
		if _, err := ring.Submit(); err != nil {
			t.Fatal(err)
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
		if err := ring.Close(); err != nil {
			t.Fatal(err)
		}
	}
	g.Run(t, "dd if=/dev/ram0 of=/dev/null bs=1M 2>/dev/null")
	if err := targetDevice(g, t, host.Config{}).Close(); err != nil {
		t.Fatal(err)
	}
}

// targetRestart: the kernel's target goes away while requests are under way, and comes back.
func targetRestart(g *Guest, t *testing.T) {
	events := make(chan host.Event, 64)
	dev := targetDevice(g, t, host.Config{HeaderDigest: true, Notify: func(e host.Event) { events <- e }})
	defer dev.Close()
	ring, err := dev.NewRing(t.Context(), blockdev.RingConfig{Depth: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	w := &targetWork{t: t, ring: ring, write: make([]byte, 16*workBlock), read: make([]byte, 16*workBlock)}
	for range 2 {
		w.round()
		w.begin(blockdev.Write)
		g.Run(t, "rm %s", nvmetLink)
		await(t, events, host.Lost)
		g.Run(t, "ln -s %s %s", subsystem, nvmetLink)
		w.finish()
		w.check()
		await(t, events, host.Restored)
		w.round()
	}
}

// await waits for an event of a kind.
func await(t *testing.T, events <-chan host.Event, kind host.EventKind) {
	t.Helper()
	late := time.NewTimer(daemontest.Patience)
	defer late.Stop()
	for {
		select {
		case e := <-events:
			if e.Kind == kind {
				return
			}
			if e.Kind == host.GaveUp {
				t.Fatal(e.Err)
			}
		case <-late.C:
			t.Fatalf("no event %q", kind)
		}
	}
}

const workBlock = 64 << 10 // bytes of a request

// targetWork writes blocks and reads them.
type targetWork struct {
	t           *testing.T
	ring        *blockdev.Ring
	write, read []byte // each in as many blocks as the ring is deep
	rounds      byte
	left        int // requests that have not succeeded
}

func (w *targetWork) round() {
	w.t.Helper()
	w.begin(blockdev.Write)
	w.finish()
	w.check()
}

func (w *targetWork) check() {
	w.t.Helper()
	w.begin(blockdev.Read)
	w.finish()
	if !bytes.Equal(w.read, w.write) {
		w.t.Fatal("read something else than was written")
	}
}

// begin submits a request for each block, the writes with other data than before.
func (w *targetWork) begin(op blockdev.Op) {
	w.t.Helper()
	if op == blockdev.Write {
		w.rounds++
		for i := range w.write {
			w.write[i] = byte(i>>12) + w.rounds
		}
	}
	for i := range w.ring.Depth() {
		w.prepare(op, i)
	}
	w.left = w.ring.Depth()
	w.submit()
}

func (w *targetWork) prepare(op blockdev.Op, i int) {
	buf := w.read
	if op == blockdev.Write {
		buf = w.write
	}
	*w.ring.GetSQE() = blockdev.SQE{
		Op: op, Offset: int64(i) * workBlock, Buf: buf[i*workBlock:][:workBlock], UserData: uint64(op)<<32 | uint64(i),
	}
}

func (w *targetWork) submit() {
	w.t.Helper()
	if _, err := w.ring.Submit(); err != nil {
		w.t.Fatal(err)
	}
}

// finish waits for all, and does again what was lost.
func (w *targetWork) finish() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*daemontest.Patience)
	defer cancel()
	for w.left > 0 {
		if err := w.ring.Wait(ctx, 1); err != nil {
			w.t.Fatal(err)
		}
		for c, ok := w.ring.Peek(); ok; c, ok = w.ring.Peek() {
			switch {
			case c.Status == blockdev.OK:
				w.left--
			case c.Status == blockdev.StatusLost && blockdev.Op(c.UserData>>32) == blockdev.Write:
				w.prepare(blockdev.Write, int(c.UserData&0xffff))
			default:
				w.t.Fatalf("%v of block %d: %v", blockdev.Op(c.UserData>>32), c.UserData&0xffff, c.Status)
			}
		}
		w.submit()
	}
}
