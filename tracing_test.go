package lockify

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

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
	c.far.LockAsync(held, PR, func(_ *Lock, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	never := dialTraced(t, c.nodes[0], sdk.NewTracerProvider(sdk.WithSampler(sdk.NeverSample())))
	c.must(t, never, held, PR)
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
