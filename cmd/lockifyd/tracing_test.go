package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/lockspace"
)

// traceCollector is what takes spans by OTLP over HTTP.
type traceCollector struct {
	url  string
	mu   sync.Mutex
	all  []sentSpan
	news chan struct{} // capacity 1: more have come
}

type sentSpan struct {
	*otlp.Span
	service string // which node, "program" for a client
}

func startCollector(t *testing.T) *traceCollector {
	c := &traceCollector{news: make(chan struct{}, 1)}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var q collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &q)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.take(&q)
	}))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *traceCollector) take(q *collector.ExportTraceServiceRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range q.ResourceSpans {
		service := "program"
		for _, a := range r.Resource.Attributes {
			if a.Key == "service.instance.id" {
				service = "node " + a.Value.GetStringValue()
			}
		}
		for _, s := range r.ScopeSpans {
			for _, span := range s.Spans {
				c.all = append(c.all, sentSpan{span, service})
			}
		}
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// trace waits for n spans of a trace, and gives a line for each: who has made it, its name,
// and the parent's; empty id: any trace.
func (c *traceCollector) trace(t *testing.T, id string, n int) (lines []string) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		if lines = c.lines(id); len(lines) >= n {
			return lines
		}
		select {
		case <-c.news:
		case <-limit:
			t.Fatalf("after a minute there are %d spans of %d:\n%s", len(lines), n, strings.Join(lines, "\n"))
		}
	}
}

func (c *traceCollector) lines(id string) (lines []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]string{"": "nothing"}
	for _, s := range c.all {
		names[string(s.SpanId)] = s.Name
	}
	for _, s := range c.all {
		if id == "" || hex.EncodeToString(s.TraceId) == id {
			lines = append(lines, fmt.Sprintf("%s: %s in %s", s.service, s.Name, names[string(s.ParentSpanId)]))
		}
	}
	slices.Sort(lines)
	return lines
}

func openTest(t *testing.T, d *daemontest.Daemon, opts ...lockify.DialOption) *lockify.Lockspace {
	t.Helper()
	c, err := lockify.Dial(t.Context(), d.Client, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := c.Open(t.Context(), testSpace)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTracing: a request of a program is one trace, from the program over its node and the
// name's directory node to the master, and arrives as such at a collector.
func TestTracing(t *testing.T) {
	c := startCollector(t)
	nodes := daemontest.Cluster(t, 3, "--tracing-endpoint", c.url)
	view, err := cluster.Static(1, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	name := "a"
	for view.Directory(lockspace.Hash([]byte(name))) != 2 {
		name += "a"
	}
	if _, err := openTest(t, nodes[2]).Lock(t.Context(), name, lockify.PR); err != nil { // which makes it master
		t.Fatal(err)
	}
	to, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpointURL(c.url+"/v1/traces"))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdk.NewTracerProvider(sdk.WithSyncer(to))
	ctx, root := provider.Tracer("test").Start(context.Background(), "work")
	if _, err := openTest(t, nodes[0], lockify.WithTracerProvider(provider)).Lock(ctx, name, lockify.PR); err != nil {
		t.Fatal(err)
	}
	root.End()
	want := []string{
		"node 1: lockify.node.lock in lockify.lock",
		"node 2: lockify.directory.lookup in lockify.node.lock",
		"node 3: lockify.master.grant in lockify.master.lock",
		"node 3: lockify.master.lock in lockify.directory.lookup",
		"program: lockify.lock in work",
		"program: work in nothing",
	}
	if got := c.trace(t, root.SpanContext().TraceID().String(), len(want)); !slices.Equal(got, want) {
		t.Errorf("spans:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTracingRatio: a node begins traces by itself; one whose collector does not answer does
// its work all the same, and ends.
func TestTracingRatio(t *testing.T) {
	c := startCollector(t)
	d := daemontest.Cluster(t, 1, "--tracing-endpoint", c.url, "--tracing-ratio", "1")[0]
	l, err := openTest(t, d).Lock(t.Context(), "a", lockify.EX)
	if err == nil {
		err = l.Unlock(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"node 1: lockify.node.lock in nothing", "node 1: lockify.node.unlock in nothing"}
	if got := c.trace(t, "", len(want)); !slices.Equal(got, want) {
		t.Errorf("spans %q, want %q", got, want)
	}
	deaf := daemontest.Cluster(t, 1, "--tracing-endpoint", "http://"+daemontest.FreeAddrs(t, 1)[0], "--tracing-ratio", "1")[0]
	if l, err = openTest(t, deaf).Lock(t.Context(), "a", lockify.EX); err == nil {
		err = l.Unlock(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}
