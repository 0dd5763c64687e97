package tracing

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// syncBuffer is a log that several goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// open makes a provider towards a collector that answers with status.
func open(t *testing.T, answer http.HandlerFunc) (*Provider, *syncBuffer) {
	t.Helper()
	srv := httptest.NewServer(answer)
	t.Cleanup(srv.Close)
	log := new(syncBuffer)
	p, err := Open(t.Context(), Config{Endpoint: srv.URL, Node: 1, Cluster: "c\xff", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p, log
}

func spans(p *Provider, n int) {
	for range n {
		_, s := p.Tracer("test").Start(context.Background(), "s")
		s.End()
	}
}

func closed(t *testing.T, p *Provider) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestSent(t *testing.T) {
	paths := make(chan string, 1)
	p, log := open(t, func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path })
	spans(p, 3)
	closed(t, p)
	if p.Sent() != 3 || p.Dropped() != 0 || log.String() != "" {
		t.Errorf("%d sent, %d dropped, log %q", p.Sent(), p.Dropped(), log)
	}
	if path := <-paths; path != "/v1/traces" {
		t.Errorf("sent to %s", path)
	}
}

// TestRefused: what a collector refuses is counted, and said once, not for each batch.
func TestRefused(t *testing.T) {
	p, log := open(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	for range 3 {
		spans(p, batchMost)
		if err := p.sdk.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	closed(t, p)
	if p.Dropped() != 3*batchMost || p.Sent() != 0 {
		t.Errorf("%d dropped, %d sent, of %d", p.Dropped(), p.Sent(), 3*batchMost)
	}
	if n := strings.Count(log.String(), "spans are dropped"); n != 1 || !strings.Contains(log.String(), "400") {
		t.Errorf("%d lines in the log: %s", n, log)
	}
}

// TestSlowCollector: who ends spans does not wait, and no more than the bound wait.
func TestSlowCollector(t *testing.T) {
	answer := make(chan struct{})
	p, log := open(t, func(http.ResponseWriter, *http.Request) { <-answer })
	spans(p, queued+100) // returns, though nothing is answered
	if p.Dropped() != 100 || !strings.Contains(log.String(), "8192 wait already") {
		t.Errorf("%d dropped, want 100; log %q", p.Dropped(), log)
	}
	close(answer)
	closed(t, p)
	if p.Sent() != queued {
		t.Errorf("%d sent, want %d", p.Sent(), queued)
	}
}

func TestCheckEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://h:4318": "http://h:4318/v1/traces", "https://h/": "https://h/v1/traces", "http://h:1/a/b": "http://h:1/a/b",
		"": "", "h:4318": "", "ftp://h": "", "http://": "", "http://u:p@h": "", "http://h?x=1": "", "http://h:x": "",
	} {
		got, err := endpointURL(endpoint)
		if got != want && err == nil || (want == "") != (CheckEndpoint(endpoint) != nil) {
			t.Errorf("endpoint %q: %q, %v; want %q", endpoint, got, err, want)
		}
	}
}
