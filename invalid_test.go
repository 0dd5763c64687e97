package lockify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// badCall is a call that is refused, and what its error is and says.
type badCall struct {
	want error
	says string
	do   func() error
}

// badLocks are requests that no lock comes of.
func (e *env) badLocks(name string) []badCall {
	long := strings.Repeat("x", 65)
	lock := func(name string, mode Mode, opts ...Option) func() error {
		return func() error {
			_, err := e.a.Lock(e.ctx, name, mode, opts...)
			return err
		}
	}
	return []badCall{
		{ErrName, "name of 0 bytes", lock("", EX)},
		{ErrName, "name of 65 bytes", lock(long, EX)},
		{ErrName, "name of 65 bytes", func() error { _, err := e.a.TryLock(e.ctx, long, EX); return err }},
		{ErrName, "name of 65 bytes", func() error { _, err := e.a.OpenByteRanges(e.ctx, long); return err }},
		{ErrMode, "mode 6", lock(name, 6)},
		{ErrMode, "mode 255", lock(name, 255)},
		{ErrFlags, "no option QueueConvert", lock(name, EX, QueueConvert())},
		{ErrFlags, "no option DemoteOnDeadlock", lock(name, EX, DemoteOnDeadlock())},
		{ErrFlags, "no option InvalidateValue", lock(name, EX, InvalidateValue())},
		{ErrFlags, "no option WithValue", lock(name, EX, WithValue([]byte("v")))},
		{ErrFlags, "no option WithValue", lock(name, EX, WithValue(nil))},
		{ErrFlags, "no option Force", lock(name, EX, Force())},
		{ErrFlags, "no option Retire", lock(name, EX, Retire())},
		{ErrFlags, "Expedite is for NL, not EX", lock(name, EX, Expedite())},
		{ErrFlags, "Expedite never waits", lock(name, NL, Expedite(), NoQueue())},
		{ErrFlags, "what AdoptOrphan takes over is not New", lock(name, EX, AdoptOrphan(), New())},
		{ErrFlags, "Timeout of -1s, must be above 0", lock(name, EX, Timeout(-time.Second))},
	}
}

// badConverts are wrong conversions of l, which is held in PR.
func (e *env) badConverts(l *Lock) []badCall {
	convert := func(mode Mode, opts ...Option) func() error {
		return func() error { return l.Convert(e.ctx, mode, opts...) }
	}
	big := WithValue(make([]byte, DefaultValueSize+1))
	return []badCall{
		{ErrFlags, "Timeout of 0s, must be above 0", convert(EX, Timeout(0))},
		{ErrMode, "mode 9", convert(9)},
		{ErrFlags, "no option New", convert(EX, New())},
		{ErrFlags, "no option Expedite", convert(NL, Expedite())},
		{ErrFlags, "no option AdoptOrphan", convert(EX, AdoptOrphan())},
		{ErrFlags, "no option Force", convert(EX, Force())},
		{ErrFlags, "no option Owner", convert(EX, Owner(1))},
		{ErrFlags, "QueueConvert from PR to CR", convert(CR, QueueConvert())},
		{ErrFlags, "QueueConvert from PR to PR", convert(PR, QueueConvert())},
		{ErrFlags, "NoQueue does not", convert(EX, DemoteOnDeadlock(), NoQueue())},
		{ErrFlags, "NoQueue does not", convert(EX, DemoteOnDeadlock(), NoQueueBlocking())},
		{ErrValue, "value of 33 bytes", convert(EX, big)},
		{ErrFlags, "exclude each other", convert(EX, WithValue(nil), InvalidateValue())},
		{ErrFlags, "no option Retire", convert(EX, Retire())},
	}
}

// badUnlocks are wrong ways to unlock l, which is held in PR.
func (e *env) badUnlocks(l *Lock) []badCall {
	unlock := func(opts ...Option) func() error {
		return func() error { return l.Unlock(e.ctx, opts...) }
	}
	big := WithValue(make([]byte, DefaultValueSize+1))
	return []badCall{
		{ErrFlags, "no option New", unlock(New())},
		{ErrFlags, "no option NoQueue", unlock(NoQueue())},
		{ErrFlags, "no option NoQueueBlocking", unlock(NoQueueBlocking())},
		{ErrFlags, "no option QueueConvert", unlock(QueueConvert())},
		{ErrFlags, "no option DemoteOnDeadlock", unlock(DemoteOnDeadlock())},
		{ErrFlags, "no option WaitOnDeadlock", unlock(WaitOnDeadlock())},
		{ErrFlags, "no option OnBlocking", unlock(OnBlocking(func(*Lock, Mode) {}))},
		{ErrFlags, "no option Persistent", unlock(Persistent())},
		{ErrFlags, "no option Timeout", unlock(Timeout(time.Second))},
		{ErrFlags, "no option Owner", unlock(Owner(1))},
		{ErrFlags, "Retire is for a lock in EX, not PR", unlock(Retire())},
		{ErrFlags, "Retire and Force exclude", unlock(Retire(), Force())},
		{ErrValue, "value of 33 bytes", unlock(big)},
		{ErrFlags, "exclude each other", unlock(WithValue(nil), InvalidateValue())},
	}
}

// badOthers are wrong in what is about no lock.
func (e *env) badOthers() []badCall {
	return []badCall{
		{ErrNode, "node 0", func() error { return e.a.Purge(e.ctx, 0, 0) }},
		{ErrNode, "node 999", func() error { return e.a.Purge(e.ctx, 999, 0) }},
		{ErrKey, "has no ranges", func() error { return e.a.Delegate(e.ctx, "k/") }},
		{ErrKey, "has no ranges", func() error { return e.a.Return(e.ctx, "k/") }},
	}
}

// testArguments: what no request may have is refused here, with a message
// that says what, and the session lives on.
func testArguments(t *testing.T, e *env) {
	name := e.name()
	l := e.must(t, e.a, name, PR)
	for _, c := range slices.Concat(e.badLocks(name), e.badConverts(l), e.badUnlocks(l), e.badOthers()) {
		err := c.do()
		expect(t, c.says, err, c.want)
		expect(t, c.says, err, ErrInvalid)
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("error %q does not say %q", err, c.says)
		}
		if (c.want == ErrFlags || c.want == ErrMode || c.want == ErrValue) && !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
			t.Errorf("error %q does not say of which lock", err)
		}
	}
	done := make(chan error, 1)
	if got := e.a.LockAsync("", EX, func(_ *Lock, err error) { done <- err }); got != nil {
		t.Fatal("a lock without a name")
	}
	expect(t, "LockAsync", wait(t, e.ctx, "the outcome", done), ErrInvalid)
	if r := resource(t, e.nodes, "test", name); l.Mode() != PR || len(r.Granted) != 1 || r.Granted[0].Granted != "PR" || len(r.Waiting) != 0 {
		t.Fatalf("mode %s, %+v", l.Mode(), r)
	}
	e.unlock(t, l)
	expect(t, "Unlock of what is unlocked", l.Unlock(e.ctx), ErrNotHeld)
	expect(t, "Convert of what is unlocked", l.Convert(e.ctx, EX), ErrNotHeld)
}

// TestOpenArguments: as testArguments, for what Open is given.
func TestOpenArguments(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 1, transport: "plain"})
	ctx := testContext(t)
	client := dialNode(t, nodes[0], "unix", "plain")
	for _, c := range []struct {
		want       error
		says, name string
		opts       []SpaceOption
	}{
		{ErrName, "name of 0 bytes", "", nil},
		{ErrName, "name of 65 bytes", strings.Repeat("x", 65), nil},
		{ErrValue, `value size -1 of lockspace "s"`, "s", []SpaceOption{ValueSize(-1)}},
		{ErrValue, `value size 257 of lockspace "s"`, "s", []SpaceOption{ValueSize(257)}},
		{ErrKey, `range keys of lockspace "s"`, "s", []SpaceOption{RangePrefix(0)}},
		{ErrKey, `range keys of lockspace "s"`, "s", []SpaceOption{RangePrefix(64)}},
	} {
		for way, open := range map[string]func() error{
			"embedded": func() error { _, err := nodes[0].Open(ctx, c.name, c.opts...); return err },
			"client":   func() error { _, err := client.Open(ctx, c.name, c.opts...); return err },
		} {
			err := open()
			expect(t, way+" "+c.says, err, c.want)
			expect(t, way+" "+c.says, err, ErrInvalid)
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: error %q does not say %q", way, err, c.says)
			}
		}
	}
	if n := len(nodes[0].n.Spaces()); n != 0 {
		t.Errorf("%d lockspaces are open", n)
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
	bytes := func(lock, owner uint64, first, last int64, typ uint8, flags uint32) wire.Msg {
		return wire.Msg{Type: wire.RangeReq, Lock: lock, Flags: flags, Ranges: wire.RangeList(nil).Append(
			wire.RangeRec{Owner: owner, Start: first, End: last, Type: typ})}
	}
	mine, err := spaces[1].Lock(ctx, "mine", NL)
	expect(t, "Lock", err, nil)
	r := spaces[1].be.(*remote)
	for what, c := range map[string]struct {
		m    wire.Msg
		want error
		says string
	}{
		"unlock":        {wire.Msg{Type: wire.UnlockReq, Lock: l.id}, ErrNotOwner, fmt.Sprintf("lock %#x", l.id)},
		"convert":       {wire.Msg{Type: wire.ConvertReq, Lock: l.id, Mode: uint8(EX)}, ErrNotOwner, fmt.Sprintf("lock %#x", l.id)},
		"bytes":         {bytes(l.id, 1, 0, 9, 2, 0), ErrNotOwner, fmt.Sprintf("lock %#x", l.id)},
		"no such lock":  {wire.Msg{Type: wire.UnlockReq, Lock: l.id + 1<<40}, ErrNotHeld, fmt.Sprintf("lock %#x", l.id+1<<40)},
		"no such shard": {wire.Msg{Type: wire.UnlockReq, Lock: l.id | 0xff}, ErrNotHeld, fmt.Sprintf("lock %#x", l.id|0xff)},
		"bytes of none": {bytes(l.id+1<<40, 1, 0, 9, 2, 0), ErrNotHeld, fmt.Sprintf("lock %#x", l.id+1<<40)},
		"bytes nowhere": {bytes(l.id|0xff, 1, 0, 9, 2, 0), ErrNotHeld, fmt.Sprintf("lock %#x", l.id|0xff)},
		"flags":         {wire.Msg{Type: wire.LockReq, Name: []byte("n"), Flags: 1 << 31}, ErrFlags, "unknown flags 0x80000000"},
		"EXPEDITE":      {wire.Msg{Type: wire.LockReq, Name: []byte("n"), Mode: uint8(EX), Flags: lockspace.Expedite}, ErrFlags, "EXPEDITE is for NL"},
		"lock owner":    {wire.Msg{Type: wire.LockReq, Name: []byte("n"), Owner: 1 << 32}, ErrOwner, "owner 4294967296, must be below 1<<32"},
		"value":         {wire.Msg{Type: wire.UnlockReq, Lock: mine.id, Bits: wire.BitValue, Value: make([]byte, 33)}, ErrValue, "value of 33 bytes, at most 32"},
		"node":          {wire.Msg{Type: wire.PurgeReq, Num: 1 << 20}, ErrNode, "node 1048576"},
		"range key":     {wire.Msg{Type: wire.DelegateReq, Name: []byte("k/")}, ErrKey, `"k/"`},
		"no range":      {wire.Msg{Type: wire.ReturnReq, Name: []byte("k/")}, ErrNoRange, ""},
		"bytes: owner":  {bytes(mine.id, 0, 0, 9, 2, 0), ErrOwner, "owner 0, must be above 0"},
		"bytes: owners": {bytes(mine.id, 1<<32, 0, 9, 2, 0), ErrOwner, "owner 4294967296, must be below 1<<32"},
		"bytes: flags":  {bytes(mine.id, 1, 0, 9, 2, lockspace.QueCvt), ErrFlags, "unknown flags 0x10"},
		"bytes: unlock": {bytes(mine.id, 1, 0, 9, 0, lockspace.NoQueue), ErrFlags, "an unlock takes no flags, not 0x1"},
		"bytes: none":   {wire.Msg{Type: wire.RangeReq, Lock: mine.id}, ErrBytes, "0 ranges, must be 1"},
		"lockspace":     {wire.Msg{Type: wire.OpenSpace, Text: make([]byte, 65)}, ErrName, "name of 65 bytes"},
		"value size":    {wire.Msg{Type: wire.OpenSpace, Text: []byte("s"), Num: 257}, ErrValue, `lockspace "s": `},
		"rule":          {wire.Msg{Type: wire.OpenSpace, Text: []byte("s"), Flags: 1 << 30}, ErrKey, `lockspace "s": `},
	} {
		ch := make(chan error, 1)
		r.start(&c.m, running{done: func(m *wire.Msg, err error) {
			if err == nil {
				err = statusError(m.Status, string(m.Text))
			}
			ch <- err
		}})
		err := wait(t, ctx, what, ch)
		expect(t, what, err, c.want)
		if !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %q does not say %q", what, err, c.says)
		}
	}
	expect(t, "Unlock", mine.Unlock(ctx), nil)
	if l.Mode() != PR || countLocks(nodes) != 1 {
		t.Fatalf("mode %s, %d locks", l.Mode(), countLocks(nodes))
	}
	expect(t, "Unlock", l.Unlock(ctx), nil)
}
