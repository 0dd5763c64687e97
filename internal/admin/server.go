package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/events"
	"github.com/lockify-dlm/lockify/internal/nearest"
	"github.com/lockify-dlm/lockify/internal/node"
)

const (
	headerTimeout = 5 * time.Second  // to send a request
	answerTimeout = 30 * time.Second // to read an answer, profiles excepted
	idleTimeout   = 60 * time.Second // of a connection between requests
	maxRequests   = 32               // at the same time; more are refused
	maxHeader     = 16 << 10         // bytes
)

// Config fixes a server.
type Config struct {
	Addr             string            // "host:port", see CheckAddr
	AllowFromNetwork bool              // Addr need not be of the loopback interface
	Node             func() *node.Node // the present one: it may start anew
	Cluster          string
	// Raft gives who leads the cluster, 0: not known, and whose votes count by now; may
	// be nil.
	Raft func() (leader uint16, voting []uint16)
	// Outside says why the node is not let in, "": it is in, or not known; may be nil.
	Outside func() string
	// Bars gives the instances that this node keeps from the disks, and why that has
	// failed so far; may be nil.
	Bars   func() map[uint64]string
	Events *events.Ring // what is logged, for watchers; may be nil
	// Settings gives the settings in force, without secrets; may be nil.
	Settings func() Settings
	// Spans gives the spans that a collector has taken and those that it never will; may
	// be nil.
	Spans func() (sent, dropped uint64)
	// CertEnds gives when the node's certificate ends; nil without TLS.
	CertEnds func() time.Time
	// Restarts gives how often the node has begun anew, having lost its place in the cluster; may
	// be nil.
	Restarts func() uint64
	Leave    func() // begins the end of the node, for good; may be nil with fixed membership
	Logger   *slog.Logger
}

// Server answers on the admin address.
type Server struct {
	node     func() *node.Node
	cluster  string
	raft     func() (leader uint16, voting []uint16)
	outside  func() string
	bars     func() map[uint64]string
	leave    func()
	started  time.Time
	log      *slog.Logger
	ln       net.Listener
	http     http.Server
	events   *events.Ring
	spans    func() (sent, dropped uint64)
	certEnds func() time.Time
	restarts func() uint64

	settings func() Settings
	running  chan struct{} // one element for each request being answered
	visitors visitors

	watchers chan struct{} // the same of those that watch events
	closing  chan struct{} // closed when the server ends
	done     chan struct{}
}

// Start listens and answers until Close. Errors: ErrAddr, ErrNetwork, and
// those of the system.
func Start(cfg Config) (*Server, error) {
	if err := CheckAddr(cfg.Addr, cfg.AllowFromNetwork); err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", cfg.Addr)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	s := &Server{
		node: cfg.Node, cluster: cfg.Cluster, raft: cfg.Raft, outside: cfg.Outside, bars: cfg.Bars, spans: cfg.Spans, certEnds: cfg.CertEnds, restarts: cfg.Restarts, leave: cfg.Leave, started: time.Now(), log: cfg.Logger, ln: ln,
		running: make(chan struct{}, maxRequests), done: make(chan struct{}),
		events: cfg.Events, settings: cfg.Settings, watchers: make(chan struct{}, maxWatchers), closing: make(chan struct{}),
	}
	s.visitors.at = map[net.Conn]*engine.Ticket{}
	s.http = http.Server{
		Handler: s.visitors.serve(s.handler()), ConnContext: s.visitors.connContext, ConnState: s.visitors.connState,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.http.RegisterOnShutdown(func() { close(s.closing) })
	go func() {
		defer close(s.done)
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("admin address is served no more", "addr", s.Addr(), "err", err)
		}
	}()
	return s, nil
}

// Addr gives the address bound, "host:port".
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Close stops listening and waits for running answers until ctx ends, then
// cuts them off.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	documents := map[string]func() any{
		"/v1/status":     func() any { return s.status() },
		"/v1/lockspaces": func() any { return s.lockspaces() },
		"/v1/counters":   func() any { return s.counters() },
		"/v1/times":      func() any { return s.times() },
	}
	for path, document := range documents {
		mux.HandleFunc(path, s.get(func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, document())
		}))
	}
	mux.HandleFunc("/v1/members", s.get(s.members))
	mux.HandleFunc("POST /v1/members", s.administrator("changing the members", s.change))
	mux.HandleFunc("/v1/locks", s.get(s.locks))
	mux.HandleFunc("/v1/ranges", s.get(s.ranges))
	for path, file := range pages {
		mux.HandleFunc(path, s.get(page(file)))
	}
	mux.HandleFunc("/v1/why", s.get(s.why))
	mux.HandleFunc("/v1/dump", s.get(s.dump))
	mux.HandleFunc("/v1/top", s.get(s.top))
	mux.HandleFunc("/v1/config", s.get(s.config))
	mux.HandleFunc("/v1/events", s.read(s.watch))
	mux.HandleFunc("/metrics", s.get(s.metrics().ServeHTTP))
	mux.HandleFunc("/debug/pprof/", s.administrator("profiling", pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", s.administrator("profiling", pprof.Cmdline))
	mux.HandleFunc("/debug/pprof/profile", s.administrator("profiling", pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", s.administrator("profiling", pprof.Symbol))
	mux.HandleFunc("/debug/pprof/trace", s.administrator("profiling", pprof.Trace))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, fmt.Sprintf("nothing at %s; there are / for people, /v1/status, /v1/members, /v1/lockspaces, /v1/locks, /v1/ranges, /v1/why, /v1/dump, /v1/top, /v1/events, /v1/config, /v1/counters, /v1/times, /metrics and /debug/pprof/", r.URL.Path))
	})
	return s.ownName(http.NewCrossOriginProtection().Handler(mux)) // a page in a browser here changes nothing
}

// ownName keeps pages of other sites out of an address of the loopback interface whose own
// name leads to it: for the browser they are of the same site. A browser always says which
// name it asks.
func (s *Server) ownName(h http.Handler) http.Handler {
	if here, ok := s.ln.Addr().(*net.TCPAddr); !ok || !here.IP.IsLoopback() {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "" && !isLoopback(r.Host) {
			s.log.Warn("admin request denied", "remote", r.RemoteAddr, "path", r.URL.Path, "host", r.Host)
			fail(w, http.StatusForbidden, fmt.Sprintf("this is an address of the loopback interface, and is not asked as %q: ask http://%s or localhost", r.Host, s.Addr()))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// get is limit for documents: they are only read, and quickly.
func (s *Server) get(h http.HandlerFunc) http.HandlerFunc { return s.limit(s.read(h)) }

// read lets nobody change anything.
func (s *Server) read(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, http.StatusMethodNotAllowed, "method "+r.Method+"; only GET is answered here")
			return
		}
		h(w, r)
	}
}

// limit bounds the requests that are answered at the same time.
func (s *Server) limit(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.running <- struct{}{}:
			defer func() { <-s.running }()
			h(w, r)
		default:
			fail(w, http.StatusServiceUnavailable, fmt.Sprintf("%d requests are being answered already", maxRequests))
		}
	}
}

// locks answers /v1/locks. The resources are copied first: a slow reader must
// not hold up a shard.
func (s *Server) locks(w http.ResponseWriter, r *http.Request) {
	name, limit, err := locksQuery(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	space := s.space(w, name)
	if space == nil {
		return
	}
	now := s.node().Now()
	all, truncated, err := resources(r.Context(), space, limit)
	if err != nil {
		return // whoever asked has gone
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc, values := json.NewEncoder(w), s.mayAdminister(r) == nil
	for i := range all {
		if enc.Encode(resourceOf(now, &all[i], values)) != nil {
			return
		}
	}
	_ = enc.Encode(Trailer{End: true, Resources: len(all), Truncated: truncated}) // nobody to tell
}

// space finds a lockspace, or says that it is not here.
func (s *Server) space(w http.ResponseWriter, name string) *node.Space {
	space := s.node().Space(name)
	if space == nil {
		s.notOpen(w, name, fmt.Sprintf("node %d", s.node().ID()))
	}
	return space
}

// notOpen says that a lockspace is not open there, and which it may be that was meant.
func (s *Server) notOpen(w http.ResponseWriter, name, there string) {
	var known []string
	for _, space := range s.node().Spaces() {
		known = append(known, Name(space.Name()).String())
	}
	slices.Sort(known)
	fail(w, http.StatusNotFound, fmt.Sprintf("lockspace %s is not open on %s%s", Name(name), there, nearest.Suggest(name, known, "")))
}

// ranges answers /v1/ranges.
func (s *Server) ranges(w http.ResponseWriter, r *http.Request) {
	name, _, err := locksQuery(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if space := s.space(w, name); space != nil {
		writeJSON(w, http.StatusOK, ranges(space))
	}
}

func locksQuery(r *http.Request) (name string, limit int, err error) {
	q := r.URL.Query()
	for key := range q {
		if key != "lockspace" && key != "limit" {
			return "", 0, fmt.Errorf("parameter %q; there are lockspace and limit", key)
		}
	}
	if name = q.Get("lockspace"); name == "" {
		return "", 0, errors.New("parameter lockspace is missing: the name of a lockspace")
	}
	if !q.Has("limit") {
		return name, DefaultLimit, nil
	}
	limit, err = strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > MaxLimit {
		return "", 0, fmt.Errorf("limit %q, want a whole number from 1 to %d", q.Get("limit"), MaxLimit)
	}
	return name, limit, nil
}

// writeJSON answers. An error of writing means that nobody listens any more.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}

type failure struct {
	Error string `json:"error"`
}

func fail(w http.ResponseWriter, status int, msg string) { writeJSON(w, status, failure{msg}) }
