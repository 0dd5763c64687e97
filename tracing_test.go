package lockify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// tracedCluster is three nodes, and a client of the first, that all make spans.
type tracedCluster struct {
	*env
	spans    *tracetest.SpanRecorder
	provider trace.TracerProvider
	client   *Lockspace
	far      *Lockspace // on node 3
	names    int
}

func startTraced(t *testing.T) *tracedCluster {
	c := &tracedCluster{spans: tracetest.NewSpanRecorder()}
	c.provider = sdk.NewTracerProvider(sdk.WithSpanProcessor(c.spans))
	c.env = &env{ctx: testContext(t), nodes: startCluster(t, clusterOptions{nodes: 3, transport: "plain", traces: c.provider})}
	c.far = c.open(t, 2, "test")
	c.client = dialTraced(t, c.nodes[0], c.provider)
	return c
}

func dialTraced(t *testing.T, n *Node, p trace.TracerProvider) *Lockspace {
	ctx := testContext(t)
	client, err := Dial(ctx, n.ClientAddrs()[0].String(), WithTracerProvider(p))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	s, err := client.Open(ctx, "test")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// nameOf gives a name that was not used, whose directory node is this one.
func (c *tracedCluster) nameOf(t *testing.T, directory uint16) string {
	t.Helper()
	view, err := cluster.Static(1, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	for {
		c.names++
		name := fmt.Sprintf("traced-%d", c.names)
		if view.Directory(lockspace.Hash([]byte(name))) == directory {
			return name
		}
	}
}

// in runs f in a span of the program, and compares the spans below that with want, a line
// each: "SPAN <PARENT node=N outcome=OUTCOME +EVENT". Node 0 is the program.
func (c *tracedCluster) in(t *testing.T, f func(ctx context.Context), want ...string) {
	t.Helper()
	ctx, root := c.provider.Tracer("test").Start(c.ctx, "program")
	f(ctx)
	root.End()
	slices.Sort(want)
	var got []string
	until(t, c.ctx, "spans", func() bool {
		got = c.below(root.SpanContext())
		return len(got) >= len(want)
	})
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("spans:\n%s\nwant:\n%s", g, w)
	}
	until(t, c.ctx, "the end of what is followed", func() bool {
		followed := 0
		for _, n := range c.nodes {
			st := n.Stats()
			for i := range st.Spaces {
				followed += st.Spaces[i].Traced
			}
		}
		return followed == 0
	})
}

func (c *tracedCluster) below(root trace.SpanContext) (lines []string) {
	names := map[trace.SpanID]string{}
	ended := c.spans.Ended()
	for _, s := range ended {
		names[s.SpanContext().SpanID()] = s.Name()
	}
	for _, s := range ended {
		if s.SpanContext().TraceID() != root.TraceID() || s.SpanContext().SpanID() == root.SpanID() {
			continue
		}
		attrs := map[string]string{}
		for _, a := range s.Attributes() {
			attrs[string(a.Key)] = a.Value.String()
		}
		line := fmt.Sprintf("%s <%s", strings.TrimPrefix(s.Name(), "lockify."), strings.TrimPrefix(names[s.Parent().SpanID()], "lockify."))
		if n := attrs["lockify.node"]; n != "" {
			line += " node=" + n
		}
		if o := attrs["lockify.outcome"]; o != "" {
			line += " outcome=" + o
		}
		for _, e := range s.Events() {
			line += " +" + e.Name
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

func TestTraceAcrossNodes(t *testing.T) {
	c := startTraced(t)
	name := c.nameOf(t, 2)
	var lock *Lock
	call := func(f func(ctx context.Context) error) func(context.Context) {
		return func(ctx context.Context) {
			t.Helper()
			if err := f(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := func(name string, mode Mode) func(context.Context) {
		return call(func(ctx context.Context) (err error) {
			lock, err = c.client.Lock(ctx, name, mode)
			return err
		})
	}
	let := call(func(ctx context.Context) error { return lock.Unlock(ctx) })

	giveUp := OnBlocking(func(l *Lock, _ Mode) { l.UnlockAsync(func(error) {}) })
	c.must(t, c.far, name, PR, giveUp)
	c.in(t, take(name, PR),
		"lock <program outcome=granted", "node.lock <lock node=1 outcome=granted",
		"directory.lookup <node.lock node=2 outcome=passed on to node 3",
		"master.lock <directory.lookup node=3 outcome=granted", "master.grant <master.lock node=3")
	c.in(t, call(func(ctx context.Context) error { return lock.Convert(ctx, EX) }),
		"convert <program outcome=granted", "node.convert <convert node=1 outcome=granted",
		"master.convert <node.convert node=3 outcome=granted", "master.grant <master.convert node=3")
	c.in(t, let,
		"unlock <program outcome=unlocked", "node.unlock <unlock node=1 outcome=unlocked",
		"master.unlock <node.unlock node=3 outcome=unlocked")

	c.in(t, take(name, EX), // the master is known by now
		"lock <program outcome=granted", "node.lock <lock node=1 outcome=granted",
		"master.lock <node.lock node=3 outcome=granted", "master.grant <master.lock node=3")

	c.in(t, let,
		"unlock <program outcome=unlocked", "node.unlock <unlock node=1 outcome=unlocked",
		"master.unlock <node.unlock node=3 outcome=unlocked")
	c.must(t, c.far, name, EX, giveUp)
	c.in(t, take(name, EX), // somebody is in the way for a while
		"lock <program outcome=granted", "node.lock <lock node=1 outcome=granted +queued",
		"master.lock <node.lock node=3 outcome=granted +queued", "master.grant <master.lock node=3")
	c.in(t, func(ctx context.Context) { // and refuses what cannot be had
		_, err := c.client.TryLock(ctx, name, CR)
		expect(t, "TryLock", err, ErrWouldBlock)
	}, "lock <program outcome="+ErrWouldBlock.Error(), "node.lock <lock node=1 outcome="+wire.WouldBlock.String(),
		"master.lock <node.lock node=3 outcome="+wire.WouldBlock.String())

	c.in(t, take(c.nameOf(t, 2), EX), // nobody has it: this node becomes its master
		"lock <program outcome=granted", "node.lock <lock node=1 outcome=granted",
		"directory.lookup <node.lock node=2 outcome=the requester becomes master")
	c.in(t, let, "unlock <program outcome=unlocked", "node.unlock <unlock node=1 outcome=unlocked")

	name = c.nameOf(t, 3)
	c.must(t, c.far, name, PR)
	c.in(t, take(name, PR), // its directory node is its master
		"lock <program outcome=granted", "node.lock <lock node=1 outcome=granted",
		"directory.lookup <node.lock node=3 outcome=master here",
		"master.lock <directory.lookup node=3 outcome=granted", "master.grant <master.lock node=3")

	name = c.nameOf(t, 2)
	c.must(t, c.far, name, PR)
	near := c.open(t, 0, "test")
	c.in(t, call(func(ctx context.Context) error { // a program in the node's process: its span is the node's
		l, err := near.Lock(ctx, name, PR)
		if err == nil {
			err = l.Convert(ctx, NL)
		}
		if err == nil {
			err = l.Unlock(ctx)
		}
		return err
	}),
		"lock <program outcome=granted", "directory.lookup <lock node=2 outcome=passed on to node 3",
		"master.lock <directory.lookup node=3 outcome=granted", "master.grant <master.lock node=3",
		"convert <program outcome=granted", "master.convert <convert node=3 outcome=granted",
		"unlock <program outcome=unlocked", "master.unlock <unlock node=3 outcome=unlocked")
}

// traceMessages counts the TRACEs that nodes have sent.
func traceMessages(nodes []*Node) (n uint64) {
	for _, node := range nodes {
		st := node.Stats()
		for i := range st.Spaces {
			n += st.Spaces[i].Sent[wire.Trace]
		}
	}
	return n
}

// TestTraceNotSampled: what nobody will see costs nothing on the wire, and nodes that make
// no spans are told of none.
func TestTraceNotSampled(t *testing.T) {
	c := startTraced(t)
	held := c.nameOf(t, 2)
	_, unseen := sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())).Tracer("").Start(c.ctx, "program")
	far := make(chan error, 1)
	c.far.LockAsync(held, PR, func(_ *Lock, err error) { far <- err }, ChildOf(trace.ContextWithSpan(c.ctx, unseen)))
	expect(t, "LockAsync", wait(t, c.ctx, "the grant", far), nil)
	never := dialTraced(t, c.nodes[0], sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())))
	c.must(t, never, held, PR)
	ranges, err := never.OpenByteRanges(c.ctx, held)
	if err != nil {
		t.Fatal(err)
	}
	if err := ranges.Lock(c.ctx, never.NewOwner(), WriteRange, 0, 1); err != nil {
		t.Fatal(err)
	}
	plain := startCluster(t, clusterOptions{nodes: 2, transport: "plain"})
	eager := dialTraced(t, plain[0], c.provider)
	for i := range 8 { // some of them have their directory on node 2
		c.must(t, eager, fmt.Sprint(i), EX)
	}
	if n := traceMessages(append(plain, c.nodes...)); n != 0 {
		t.Errorf("%d TRACE messages", n)
	}
	if n := len(c.spans.Ended()); n != 8 {
		t.Errorf("%d spans, want those 8 of the program", n)
	}
}

// TestTraceAsync: a call without a context has a span until its callback runs.
func TestTraceAsync(t *testing.T) {
	c := startTraced(t)
	name := c.nameOf(t, 2)
	held := c.must(t, c.far, name, EX, OnBlocking(func(*Lock, Mode) {}))
	lock := make(chan *Lock, 1)
	ended := make(chan error, 1)
	told := func(err error) { ended <- err }
	over := func() {
		t.Helper()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	c.in(t, func(ctx context.Context) {
		c.client.LockAsync(name, PR, func(l *Lock, err error) { lock <- l; told(err) }, ChildOf(ctx))
		until(t, c.ctx, "a request that waits", func() bool { return c.nodes[2].Stats().Spaces[0].Traced == 1 })
		if err := held.Unlock(c.ctx); err != nil {
			t.Fatal(err)
		}
		over()
	},
		"lock <program outcome=granted", "node.lock <lock node=1 outcome=granted +queued",
		"directory.lookup <node.lock node=2 outcome=passed on to node 3",
		"master.lock <directory.lookup node=3 outcome=granted +queued", "master.grant <master.lock node=3")
	l := <-lock
	c.in(t, func(ctx context.Context) {
		l.ConvertAsync(EX, told, ChildOf(ctx))
		over()
	},
		"convert <program outcome=granted", "node.convert <convert node=1 outcome=granted",
		"master.convert <node.convert node=3 outcome=granted", "master.grant <master.convert node=3")
	c.in(t, func(ctx context.Context) {
		l.UnlockAsync(told, ChildOf(ctx))
		over()
	},
		"unlock <program outcome=unlocked", "node.unlock <unlock node=1 outcome=unlocked",
		"master.unlock <node.unlock node=3 outcome=unlocked")
	near := c.open(t, 0, "test")
	c.in(t, func(ctx context.Context) { // what is refused has one, too, and a node in the process none of its own
		near.LockAsync("", EX, func(_ *Lock, err error) { expect(t, "LockAsync", err, ErrName) }, ChildOf(ctx))
		near.LockAsync(c.nameOf(t, 1), EX, func(_ *Lock, err error) { told(err) }, ChildOf(ctx))
		over()
	}, "lock <program outcome="+refusal(near), "lock <program outcome=granted")
}

// refusal gives the error for a name that is none.
func refusal(s *Lockspace) (text string) {
	s.LockAsync("", EX, func(_ *Lock, err error) { text = err.Error() })
	return text
}

// TestTraceBytes: byte ranges, any number at a time on one handle.
func TestTraceBytes(t *testing.T) {
	c := startTraced(t)
	name := c.nameOf(t, 2)
	open := func(ctx context.Context, s *Lockspace) *ByteRanges {
		t.Helper()
		r, err := s.OpenByteRanges(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	there := open(c.ctx, c.far)
	var here *ByteRanges
	c.in(t, func(ctx context.Context) { here = open(ctx, c.client) },
		"lock <program outcome=granted", "node.lock <lock node=1 outcome=granted",
		"directory.lookup <node.lock node=2 outcome=passed on to node 3",
		"master.lock <directory.lookup node=3 outcome=granted", "master.grant <master.lock node=3")
	owner, other, third := c.client.NewOwner(), c.far.NewOwner(), c.client.NewOwner()
	c.in(t, func(ctx context.Context) { must(here.Lock(ctx, owner, ReadRange, 0, 10)) },
		"bytes.lock <program outcome=granted", "node.bytes.lock <bytes.lock node=1 outcome=granted",
		"master.bytes.lock <node.bytes.lock node=3 outcome=granted")
	c.in(t, func(ctx context.Context) {
		_, _, err := here.Test(ctx, owner, ReadRange, 0, 10)
		must(err)
	},
		"bytes.test <program outcome=tested", "node.bytes.test <bytes.test node=1 outcome=tested",
		"master.bytes.test <node.bytes.test node=3 outcome=tested")
	c.in(t, func(ctx context.Context) { must(here.Unlock(ctx, owner, 0, 10)) },
		"bytes.unlock <program outcome=unlocked", "node.bytes.unlock <bytes.unlock node=1 outcome=unlocked",
		"master.bytes.unlock <node.bytes.unlock node=3 outcome=unlocked")

	must(there.Lock(c.ctx, other, WriteRange, 0, 10))
	waiting := func(n int) func() bool {
		return func() bool { return c.nodes[2].Stats().Spaces[0].Traced == n }
	}
	c.in(t, func(ctx context.Context) { // two that wait, of which one is withdrawn
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- here.Lock(ctx, owner, WriteRange, 0, 1) }()
		until(t, c.ctx, "one that waits", waiting(1))
		left, leave := context.WithCancel(ctx)
		go func() { second <- here.Lock(left, third, WriteRange, 5, 1) }()
		until(t, c.ctx, "two that wait", waiting(2))
		leave()
		expect(t, "Lock", <-second, context.Canceled)
		until(t, c.ctx, "the end of the second", waiting(1))
		must(there.Unlock(c.ctx, other, 0, 10))
		must(<-first)
	},
		"bytes.lock <program outcome=granted", "node.bytes.lock <bytes.lock node=1 outcome=granted",
		"master.bytes.lock <node.bytes.lock node=3 outcome=granted",
		"bytes.lock <program outcome="+context.Canceled.Error(), "node.bytes.lock <bytes.lock node=1 outcome="+wire.Cancelled.String(),
		"master.bytes.lock <node.bytes.lock node=3 outcome="+wire.Cancelled.String())

	must(there.Lock(c.ctx, other, WriteRange, 20, 10))
	c.in(t, func(ctx context.Context) { // one that waits when its handle is closed
		ended := make(chan error, 1)
		go func() { ended <- here.Lock(ctx, owner, WriteRange, 20, 1) }()
		until(t, c.ctx, "one that waits", waiting(1))
		must(here.Close(c.ctx))
		expect(t, "Lock", <-ended, ErrClosed)
	},
		"bytes.lock <program outcome="+ErrClosed.Error(), "node.bytes.lock <bytes.lock node=1 outcome="+wire.Cancelled.String(),
		"master.bytes.lock <node.bytes.lock node=3 outcome=its handle was closed")
}

// TestTracedNamesAreText: names are any bytes, but nothing of a span that is no text reaches a collector.
func TestTracedNamesAreText(t *testing.T) {
	c := startTraced(t)
	const space, name = "space\xff", "name\xff"
	client, err := c.client.be.(*remote).c.Open(c.ctx, space)
	expect(t, "Open", err, nil)
	c.open(t, 2, space)
	for _, s := range []*Lockspace{client, c.open(t, 1, space)} {
		c.unlock(t, c.must(t, s, name, EX))
		bytes, err := s.OpenByteRanges(c.ctx, name)
		expect(t, "OpenByteRanges", err, nil)
		expect(t, "Lock of bytes", bytes.Lock(c.ctx, 1, WriteRange, 0, 1), nil)
		expect(t, "Close", bytes.Close(c.ctx), nil)
	}
	of := map[string]bool{} // whose spans there are: nodes, programs
	for _, s := range c.spans.Ended() {
		for _, a := range s.Attributes() {
			if !utf8.ValidString(a.Value.String()) {
				t.Errorf("%s has %s = %q", s.Name(), a.Key, a.Value.String())
			}
		}
		of[s.Name()] = true
	}
	for _, want := range []string{"lockify.lock", "lockify.node.lock", "lockify.bytes.lock", "lockify.node.bytes.lock"} {
		if !of[want] {
			t.Errorf("no span %s among %v", want, of)
		}
	}
}
