package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/events"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// owner lets a test wait for its locks.
type owner struct{ granted chan uint64 }

func (o owner) Complete(id, _ uint64, c *lockspace.Completion) {
	if c.Status == 0 {
		o.granted <- id
	}
}
func (owner) Blocking(uint64, lockspace.Mode)             {}
func (owner) Confirmed(uint64)                            {}
func (owner) Lost(uint64)                                 {}
func (owner) Bytes(_, _ uint64, _ *lockspace.ByteOutcome) {}

// start runs a node without peers and its admin server.
func start(t *testing.T) (*node.Node, *Server, *Client) {
	t.Helper()
	members, err := cluster.Static(5)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	n, err := node.Start(t.Context(), node.Config{ID: 5, Shards: 2, Logger: log}, members)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(Config{Addr: "127.0.0.1:0", Node: func() *node.Node { return n }, Cluster: "c", Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Close(ctx), n.Close(ctx)); err != nil {
			t.Error(err)
		}
	})
	c, err := NewClient("http://" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return n, s, c
}

// ask asks for a lock, and gives its id.
func ask(sp *node.Space, o node.Owner, name string, mode lockspace.Mode, flags uint32) (id uint64) {
	sp.LockHere(&lockspace.Request{Mode: mode, Flags: flags, User: o}, name, 0, &id)
	return id
}

func TestDocuments(t *testing.T) {
	n, _, c := start(t)
	strange := "a b\x00\xff/?&#"
	sp, err := n.Open(t.Context(), strange, node.Props{ValueLen: 8})
	if err != nil {
		t.Fatal(err)
	}
	o := owner{make(chan uint64, 8)}
	for _, name := range []string{"two", "one", "\x00"} {
		ask(sp, o, name, lockspace.EX, 0)
		<-o.granted
	}
	ask(sp, o, "one", lockspace.PR, 0) // waits

	ctx := t.Context()
	st, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if st.Node != 5 || st.Cluster != "c" || uint64(st.Instance) != n.Instance() || st.Totals.Lockspaces != 1 || st.Totals.Resources != 3 || st.Totals.Locks != 4 {
		t.Errorf("status %+v", st)
	}
	spaces, err := c.Lockspaces(ctx)
	if err != nil || len(spaces) != 1 || string(spaces[0].Name) != strange || spaces[0].ValueSize != 8 || spaces[0].Shards != 2 {
		t.Errorf("lockspaces %+v, %v", spaces, err)
	}
	counters, err := c.Counters(ctx)
	if err != nil || counters.Node != 5 || len(counters.Lockspaces) != 1 || counters.Lockspaces[0].Totals.Locks != 4 || len(counters.Sent) != 0 {
		t.Errorf("counters %+v, %v", counters, err)
	}
	var got []string
	truncated, err := c.Locks(ctx, strange, 0, func(r *Resource) error {
		got = append(got, string(r.Name))
		if len(r.Granted) != 1 || r.Granted[0].Node != 5 || r.Granted[0].Granted != "EX" || r.Role != "master" {
			t.Errorf("resource %+v", r)
		}
		if string(r.Name) == "one" && (len(r.Waiting) != 1 || r.Waiting[0].Wanted != "PR") {
			t.Errorf("resource %+v", r)
		}
		return nil
	})
	if err != nil || truncated || !slices.Equal(got, []string{"\x00", "one", "two"}) {
		t.Errorf("locks %q, %v, %v", got, truncated, err)
	}
	for limit, more := range map[int]bool{1: true, 2: true, 3: false} {
		seen := 0
		truncated, err := c.Locks(ctx, strange, limit, func(*Resource) error { seen++; return nil })
		if err != nil || truncated != more || seen != limit {
			t.Errorf("limit %d: %d resources, truncated %v, %v", limit, seen, truncated, err)
		}
	}
	stop := errors.New("stop")
	if _, err := c.Locks(ctx, strange, 0, func(*Resource) error { return stop }); err != stop {
		t.Errorf("locks: %v, want the callback's error", err)
	}
}

// Every error is a document with the reason.
func TestErrors(t *testing.T) {
	n, s, c := start(t)
	if _, err := n.Open(t.Context(), "x", node.Props{}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/v1/locks", 400, "parameter lockspace is missing"},
		{"GET", "/v1/locks?lockspace=y", 404, "lockspace y is not open on node 5"},
		{"GET", "/v1/locks?lockspace=%00", 404, `lockspace "\x00" is not open on node 5`},
		{"GET", "/v1/locks?lockspace=x&limit=0", 400, `limit "0", want a whole number from 1 to 100000`},
		{"GET", "/v1/locks?lockspace=x&limit=100001", 400, "limit"},
		{"GET", "/v1/locks?lockspace=x&limit=1e3", 400, "limit"},
		{"GET", "/v1/locks?lockspace=x&max=3", 400, `parameter "max"; there are lockspace and limit`},
		{"GET", "/v1/events?kinds=deadlock,odd", 400, `no kind "odd"; there are session-begin, `},
		{"POST", "/v1/status", 405, "method POST"},
		{"DELETE", "/v1/locks?lockspace=x", 405, "method DELETE"},
		{"GET", "/v2/status", 404, "nothing at /v2/status"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http://"+s.Addr()+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		var f failure
		if err := json.Unmarshal(text, &f); err != nil || resp.StatusCode != tc.status || !strings.Contains(f.Error, tc.want) {
			t.Errorf("%s %s: %s %s; want %d, %q", tc.method, tc.path, resp.Status, text, tc.status, tc.want)
		}
	}
	if _, err := c.Locks(t.Context(), "y", 0, nil); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "lockspace y is not open") {
		t.Errorf("locks of an unknown lockspace: %v", err)
	}
}

// TestHosts: an address of the loopback interface answers to no name that somebody else may
// have let lead there, one of the network to any.
func TestHosts(t *testing.T) {
	_, s, _ := start(t)
	_, port, _ := strings.Cut(s.Addr(), ":")
	for host, good := range map[string]bool{
		s.Addr(): true, "localhost:" + port: true, "localhost": true, "127.0.0.1": true, "127.9.9.9:80": true, "[::1]:" + port: true, "[::1]": true, "": true,
		"evil.example:" + port: false, "evil.example": false, "localhost.evil.example": false, "127.0.0.1.evil.example:" + port: false, "10.0.0.1:" + port: false,
	} {
		for _, wide := range []bool{false, true} {
			at := Server{node: s.node, log: s.log, ln: s.ln, running: s.running}
			if wide {
				at.ln = fromNetwork{s.ln}
			}
			for _, r := range []*http.Request{
				httptest.NewRequest(http.MethodGet, "/v1/status", nil), httptest.NewRequest(http.MethodGet, "/", nil),
			} {
				w := httptest.NewRecorder()
				r.Host = host
				at.handler().ServeHTTP(w, r)
				if denied := w.Code == http.StatusForbidden; denied == (good || wide) || denied && !strings.Contains(w.Body.String(), "ask http://127.0.0.1:"+port) {
					t.Errorf("%s as %q, from the network %v: %d %s", r.URL, host, wide, w.Code, w.Body)
				}
			}
		}
	}
}

// fromNetwork is a listener at all interfaces.
type fromNetwork struct{ net.Listener }

func (fromNetwork) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 7541} }

// No more than maxRequests are answered at the same time.
func TestRequestLimit(t *testing.T) {
	_, s, c := start(t)
	for range maxRequests {
		s.running <- struct{}{}
	}
	if _, err := c.Status(t.Context()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "32 requests") {
		t.Errorf("over the limit: %v", err)
	}
	<-s.running
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("below the limit: %v", err)
	}
	for range maxRequests - 1 {
		<-s.running
	}
}

// The client tells a whole answer from one that was cut off, and from nonsense.
func TestClientDistrusts(t *testing.T) {
	const line = `{"name":{"hex":"61"},"role":"master"}` + "\n"
	for _, tc := range []struct {
		body string
		want error // nil: any
	}{
		{"", ErrCutOff},
		{line, ErrCutOff},
		{line + `{"end":true,"resources":2}`, ErrCutOff},
		{line + `{"end":tr`, nil},
		{`{"name":{"hex":"6"}}`, nil},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tc.body) }))
		c, err := NewClient(strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Locks(t.Context(), "x", 0, func(*Resource) error { return nil })
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%q: %v, want %v", tc.body, err, tc.want)
		}
		if _, err := c.Status(t.Context()); tc.body == "" && err == nil {
			t.Error("an empty status is taken")
		}
		srv.Close()
	}
}

func TestCheckAddr(t *testing.T) {
	for _, tc := range []struct {
		addr          string
		here, network error
	}{
		{"127.0.0.1:7541", nil, nil},
		{"127.1.2.3:0", nil, nil},
		{"[::1]:7541", nil, nil},
		{"localhost:7541", nil, nil},
		{"0.0.0.0:7541", ErrNetwork, nil},
		{"[::]:7541", ErrNetwork, nil},
		{"10.0.0.1:7541", ErrNetwork, nil},
		{"node.example:7541", ErrNetwork, nil},
		{"localhost.example:7541", ErrNetwork, nil},
		{":7541", ErrAddr, ErrAddr},
		{"127.0.0.1", ErrAddr, ErrAddr},
		{"127.0.0.1:http", ErrAddr, ErrAddr},
		{"127.0.0.1:65536", ErrAddr, ErrAddr},
		{"", ErrAddr, ErrAddr},
	} {
		if err := CheckAddr(tc.addr, false); !errors.Is(err, tc.here) {
			t.Errorf("%q: %v, want %v", tc.addr, err, tc.here)
		}
		if err := CheckAddr(tc.addr, true); !errors.Is(err, tc.network) {
			t.Errorf("%q from the network: %v, want %v", tc.addr, err, tc.network)
		}
	}
	if _, err := Start(Config{Addr: "0.0.0.0:0"}); !errors.Is(err, ErrNetwork) {
		t.Errorf("Start: %v, want %v", err, ErrNetwork)
	}
}

func TestName(t *testing.T) {
	for name, text := range map[string]string{
		"": `""`, "a": "a", "a b": "a b", " a": `" a"`, "ä/ö": "ä/ö", "\xff": `"\xff"`, "a\nb": `"a\nb"`, `a"b`: `"a\"b"`, `a\b`: `"a\\b"`,
	} {
		b, err := json.Marshal(Name(name))
		if err != nil {
			t.Fatal(err)
		}
		var back Name
		if err := json.Unmarshal(b, &back); err != nil || string(back) != name {
			t.Errorf("%q becomes %s becomes %q, %v", name, b, back, err)
		}
		if got := Name(name).String(); got != text {
			t.Errorf("text of %q is %s, want %s", name, got, text)
		}
	}
}

func TestID(t *testing.T) {
	b, err := json.Marshal(ID(1<<64 - 1))
	if err != nil || string(b) != `"0xffffffffffffffff"` {
		t.Errorf("%s, %v", b, err)
	}
	var i ID
	if err := json.Unmarshal(b, &i); err != nil || i != 1<<64-1 {
		t.Errorf("%v, %v", i, err)
	}
	if err := json.Unmarshal([]byte(`"0x1g"`), &i); err == nil {
		t.Error("0x1g is taken")
	}
}

// TestVisitors: whoever makes connections without end keeps nobody out, and takes no more than so many
// descriptors; who is being answered stays.
func TestVisitors(t *testing.T) {
	_, s, c := start(t)
	s.events = events.NewRing(8)
	answer, err := http.Get("http://" + s.Addr() + "/v1/events?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	const most = 1024 // of a lobby
	var all []net.Conn
	for i := range most + 200 {
		nc, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if i%2 == 0 { // and those who begin to ask, and do not go on
			_, _ = nc.Write([]byte("G"))
		}
		all = append(all, nc)
	}
	for _, nc := range all[:100] {
		_ = nc.SetReadDeadline(time.Now().Add(headerTimeout / 2))
		if _, err := nc.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("an old connection is still there")
		}
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	slog.New(events.NewHandler(s.events, slog.DiscardHandler)).Info("here")
	if line, err := bufio.NewReader(answer.Body).ReadString('\n'); !strings.Contains(line, "here") {
		t.Errorf("the watcher reads %q, %v", line, err)
	}
	if _, err := http.Get("http://" + s.Addr() + "/v1/status"); err != nil { // and is idle then
		t.Error(err)
	}
	s.visitors.mu.Lock()
	defer s.visitors.mu.Unlock()
	if n := len(s.visitors.at); n > most+100 { // some may be about to go
		t.Errorf("%d connections", n)
	}
}
