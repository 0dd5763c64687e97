package lockify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// testArguments: what no request may have is refused here, with a message
// that says what, and the session lives on.
func testArguments(t *testing.T, e *env) {
	name := e.name()
	l := e.must(t, e.a, name, PR)
	big := WithValue(make([]byte, DefaultValueSize+1))
	lock := func(name string, mode Mode, opts ...Option) func() error {
		return func() error {
			_, err := e.a.Lock(e.ctx, name, mode, opts...)
			return err
		}
	}
	convert := func(mode Mode, opts ...Option) func() error {
		return func() error { return l.Convert(e.ctx, mode, opts...) }
	}
	unlock := func(opts ...Option) func() error {
		return func() error { return l.Unlock(e.ctx, opts...) }
	}
	for _, c := range []struct {
		says string
		do   func() error
	}{
		{"name of 0 bytes", lock("", EX)},
		{"name of 65 bytes", lock(strings.Repeat("x", 65), EX)},
		{"mode 6", lock(name, 6)},
		{"mode 255", lock(name, 255)},
		{"no option QueueConvert", lock(name, EX, QueueConvert())},
		{"no option DemoteOnDeadlock", lock(name, EX, DemoteOnDeadlock())},
		{"no option InvalidateValue", lock(name, EX, InvalidateValue())},
		{"no option WithValue", lock(name, EX, WithValue([]byte("v")))},
		{"no option WithValue", lock(name, EX, WithValue(nil))},
		{"mode 9", convert(9)},
		{"no option New", convert(EX, New())},
		{"QueueConvert from PR to CR", convert(CR, QueueConvert())},
		{"QueueConvert from PR to PR", convert(PR, QueueConvert())},
		{"NoQueue does not", convert(EX, DemoteOnDeadlock(), NoQueue())},
		{"value of 33 bytes", convert(EX, big)},
		{"exclude each other", convert(EX, WithValue(nil), InvalidateValue())},
		{"no option New", unlock(New())},
		{"no option NoQueue", unlock(NoQueue())},
		{"no option NoQueueBlocking", unlock(NoQueueBlocking())},
		{"no option QueueConvert", unlock(QueueConvert())},
		{"no option DemoteOnDeadlock", unlock(DemoteOnDeadlock())},
		{"no option WaitOnDeadlock", unlock(WaitOnDeadlock())},
		{"no option OnBlocking", unlock(OnBlocking(func(*Lock, Mode) {}))},
		{"Retire is for a lock in EX, not PR", unlock(Retire())},
		{"Retire and Force exclude", unlock(Retire(), Force())},
		{"no option Retire", lock(name, EX, Retire())},
		{"no option Retire", convert(EX, Retire())},
		{"value of 33 bytes", unlock(big)},
		{"exclude each other", unlock(WithValue(nil), InvalidateValue())},
	} {
		err := c.do()
		expect(t, c.says, err, ErrInvalid)
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %q does not say %q", err, c.says)
		}
	}
	done := make(chan error, 1)
	if got := e.a.LockAsync("", EX, func(_ *Lock, err error) { done <- err }); got != nil {
		t.Fatal("a lock without a name")
	}
	expect(t, "LockAsync", wait(t, e.ctx, "the outcome", done), ErrInvalid)
	if l.Mode() != PR {
		t.Fatalf("mode %s", l.Mode())
	}
	e.unlock(t, l)
}

// TestOpenArguments: as testArguments, for what Open is given.
func TestOpenArguments(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	ctx := testContext(t)
	client := dialNode(t, nodes[0], "unix", "plain")
	for _, c := range []struct {
		says, name string
		opts       []SpaceOption
	}{
		{"name of 0 bytes", "", nil},
		{"name of 65 bytes", strings.Repeat("x", 65), nil},
		{"value size -1", "s", []SpaceOption{ValueSize(-1)}},
		{"value size 257", "s", []SpaceOption{ValueSize(257)}},
		{"range keys", "s", []SpaceOption{RangePrefix(0)}},
		{"range keys", "s", []SpaceOption{RangePrefix(64)}},
	} {
		for way, open := range map[string]func() error{
			"embedded": func() error { _, err := nodes[0].Open(ctx, c.name, c.opts...); return err },
			"client":   func() error { _, err := client.Open(ctx, c.name, c.opts...); return err },
		} {
			err := open()
			expect(t, way+" "+c.says, err, ErrInvalid)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: error %q does not say %q", way, err, c.says)
			}
		}
	}
	for _, size := range []int{0, 1, 256} {
		s, err := nodes[0].Open(ctx, "size-"+string(rune('a'+size%7)), ValueSize(size))
		expect(t, "Open", err, nil)
		if s.ValueSize() != size {
			t.Fatalf("value size %d, want %d", s.ValueSize(), size)
		}
	}
}

// TestNodeConfig: a configuration that cannot work is refused with ErrInvalid.
func TestNodeConfig(t *testing.T) {
	for says, cfg := range map[string]Config{
		"id":               {},
		"used twice":       {ID: 1, Peers: []Peer{{ID: 1, Addr: "127.0.0.1:1"}}},
		"256 shards":       {ID: 1, Shards: 256 + 1},
		"transport":        {ID: 1, Transport: "pigeon"},
		"no address":       {ID: 1, Listen: "127.0.0.1:0", Peers: []Peer{{ID: 2}}},
		"delay":            {ID: 1, Listen: "127.0.0.1:0", Peers: []Peer{{ID: 2, Addr: "127.0.0.1:1", Delay: 2 * time.Second}}},
		"cluster name":     {ID: 1, Cluster: strings.Repeat("x", 300)},
		"peer id":          {ID: 1, Peers: []Peer{{ID: 0, Addr: "127.0.0.1:1"}}},
		"shards, must be ": {ID: 1, Shards: -1},
	} {
		n, err := StartNode(testContext(t), cfg)
		if err == nil {
			n.Close(testContext(t))
		}
		expect(t, says, err, ErrInvalid)
	}
}

// TestTooManySpaces: lockspaces cost memory on every node for as long as it
// runs, so there is an end.
func TestTooManySpaces(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	ctx := testContext(t)
	client := dialNode(t, nodes[0], "unix", "plain")
	for i := range 1024 {
		_, err := nodes[0].Open(ctx, fmt.Sprintf("space-%d", i))
		expect(t, "Open", err, nil)
	}
	_, err := nodes[0].Open(ctx, "another")
	expect(t, "Open of one too many", err, ErrLimit)
	_, err = client.Open(ctx, "another")
	expect(t, "a client's Open of one too many", err, ErrLimit)
	_, err = client.Open(ctx, "space-7")
	expect(t, "Open of one that is there", err, nil)
}

// TestForeignLock: a session that names another's lock, or none, hears which,
// and so does one that sends what this package would not; nothing changes.
func TestForeignLock(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	ctx := testContext(t)
	var spaces []*Lockspace
	for range 2 {
		s, err := dialNode(t, nodes[0], "unix", "plain").Open(ctx, "test")
		expect(t, "Open", err, nil)
		spaces = append(spaces, s)
	}
	l, err := spaces[0].Lock(ctx, "n", PR)
	expect(t, "Lock", err, nil)
	r := spaces[1].be.(*remote)
	for what, c := range map[string]struct {
		m    wire.Msg
		want error
		says string
	}{
		"unlock":        {wire.Msg{Type: wire.UnlockReq, Lock: l.id}, ErrNotOwner, ""},
		"convert":       {wire.Msg{Type: wire.ConvertReq, Lock: l.id, Mode: uint8(EX)}, ErrNotOwner, ""},
		"no such lock":  {wire.Msg{Type: wire.UnlockReq, Lock: l.id + 1<<40}, ErrNotHeld, ""},
		"no such shard": {wire.Msg{Type: wire.UnlockReq, Lock: l.id | 0xff}, ErrNotHeld, ""},
		"flags":         {wire.Msg{Type: wire.LockReq, Name: []byte("n"), Flags: 1 << 31}, ErrFlags, "unknown flags 0x80000000"},
		"EXPEDITE":      {wire.Msg{Type: wire.LockReq, Name: []byte("n"), Mode: uint8(EX), Flags: lockspace.Expedite}, ErrFlags, "EXPEDITE is for NL"},
		"node":          {wire.Msg{Type: wire.PurgeReq, Num: 1 << 20}, ErrNode, ""},
	} {
		ch := make(chan error, 1)
		r.c.start(r.space, &c.m, whenDone(func(err error) { ch <- err }), false)
		err := wait(t, ctx, what, ch)
		expect(t, what, err, c.want)
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %q does not say %q", what, err, c.says)
		}
	}
	if l.Mode() != PR || countLocks(nodes) != 1 {
		t.Fatalf("mode %s, %d locks", l.Mode(), countLocks(nodes))
	}
	expect(t, "Unlock", l.Unlock(ctx), nil)
}
