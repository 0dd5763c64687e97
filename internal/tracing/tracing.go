package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

// Config says whose spans go where.
type Config struct {
	Endpoint string // CheckEndpoint says what it may be
	Node     uint16
	Cluster  string
	Logger   *slog.Logger
}

const (
	queued    = 8192 // spans that wait, or are on their way, at most
	batchMost = 512
	batchTime = time.Second // what a span waits for company
	sendTime  = 10 * time.Second
	logEvery  = time.Minute
)

// CheckEndpoint says what is wrong with the URL of a collector: http:// or https://, a host,
// and a path, /v1/traces if there is none.
func CheckEndpoint(endpoint string) error {
	_, err := endpointURL(endpoint)
	return err
}

func endpointURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", err
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "", fmt.Errorf("want http://host:port or https://host:port, and perhaps a path")
	case u.Path == "" || u.Path == "/":
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Provider makes spans and sends them.
type Provider struct {
	sdk     *sdk.TracerProvider
	log     *slog.Logger
	lines   *rate.Limiter
	pending atomic.Int64
	sent    atomic.Uint64
	dropped atomic.Uint64
	unsaid  atomic.Uint64 // dropped since the last line of the log
}

// Open makes a Provider. The collector need not be there.
func Open(ctx context.Context, cfg Config) (*Provider, error) {
	endpoint, err := endpointURL(cfg.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing: endpoint %q: %w", cfg.Endpoint, err)
	}
	to, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: time.Second, MaxInterval: sendTime / 2, MaxElapsedTime: sendTime,
	}))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	p := &Provider{log: cfg.Logger, lines: rate.NewLimiter(rate.Every(logEvery), 1)}
	batches := sdk.NewBatchSpanProcessor(&exporter{p, to}, sdk.WithMaxQueueSize(queued), sdk.WithMaxExportBatchSize(batchMost),
		sdk.WithBatchTimeout(batchTime), sdk.WithExportTimeout(2*sendTime))
	p.sdk = sdk.NewTracerProvider(
		sdk.WithSpanProcessor(&bounded{batches, p}),
		sdk.WithSampler(sdk.ParentBased(sdk.AlwaysSample())), // who begins a trace has chosen it already
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "lockifyd"), attribute.String("service.namespace", strings.ToValidUTF8(cfg.Cluster, "\ufffd")),
			attribute.String("service.instance.id", strconv.Itoa(int(cfg.Node))),
		)),
	)
	return p, nil
}

// Tracer gives what makes spans.
func (p *Provider) Tracer(name string) trace.Tracer { return p.sdk.Tracer(name) }

// Sent gives the spans that the collector has taken.
func (p *Provider) Sent() uint64 { return p.sent.Load() }

// Dropped gives the spans that it has not got, and never will.
func (p *Provider) Dropped() uint64 { return p.dropped.Load() }

// Close sends what waits, until ctx ends.
func (p *Provider) Close(ctx context.Context) error {
	if err := p.sdk.Shutdown(ctx); err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	return nil
}

// drop counts n spans that are lost, and says so now and then.
func (p *Provider) drop(n int, why error) {
	p.dropped.Add(uint64(n))
	p.unsaid.Add(uint64(n))
	if p.lines.Allow() {
		p.log.Warn("spans are dropped: the collector of traces does not take them", "spans", p.unsaid.Swap(0), "err", why)
	}
}

// bounded drops spans where too many are on their way. The queue of the library does the
// same, and says nothing.
type bounded struct {
	sdk.SpanProcessor
	p *Provider
}

func (b *bounded) OnEnd(s sdk.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if b.p.pending.Add(1) > queued {
		b.p.pending.Add(-1)
		b.p.drop(1, errQueue)
		return
	}
	b.SpanProcessor.OnEnd(s)
}

var errQueue = fmt.Errorf("%d wait already", queued)

// exporter counts what it sends. Its errors end here.
type exporter struct {
	p  *Provider
	to sdk.SpanExporter
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.to.ExportSpans(ctx, spans)
	e.p.pending.Add(-int64(len(spans)))
	if err != nil {
		e.p.drop(len(spans), err)
		return nil
	}
	e.p.sent.Add(uint64(len(spans)))
	return nil
}

func (e *exporter) Shutdown(ctx context.Context) error { return e.to.Shutdown(ctx) }
