package lockify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/internal/secure"
	"github.com/lockify-dlm/lockify/wire"
)

// Client is a program's way to the cluster: a session with a node, and when that
// ends the next one, with the same node or another. Locks belong to the session and
// end with it; lockspaces stay open. Its methods may be called by several goroutines
// at once.
type Client struct {
	opts      DialOption
	addrs     []nodeAddr
	transport engine.Transport
	calls     calls
	owners    owners
	clock     func() int64    // ns, CLOCK_BOOTTIME
	ctx       context.Context // ends at Close
	stop      context.CancelFunc
	redials   sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	last     *Session // the present session, or the one before it
	live     *Session // nil: there is none now
	why      error    // then: why
	began    time.Time
	failures int                  // attempts since a session has lasted
	next     int                  // the address that the next attempt begins with
	spaces   map[*remote]struct{} // open lockspaces
	change   chan struct{}        // closed when what is above changes
}

// nodeAddr is where a node serves clients.
type nodeAddr struct {
	text, network, rest string
	noRing              bool
}

// DialOption changes how Dial connects.
type DialOption struct {
	transport string
	name      string
	session   func(*Session)
	once      bool
	noRing    bool
	tls       TLSFiles
	via       engine.Transport // of tests, instead of transport
	clock     func() int64     // of tests
	traces    trace.TracerProvider
}

// WithTransport chooses the transport: "plain" (default, best for a few
// connections) or "netpoll".
func WithTransport(name string) DialOption { return DialOption{transport: name} }

// TLSFiles are the certificates of a client or a node: files in PEM, read again when they
// change. Cert and Key are its own ("lockctl tls" makes them), CA signs those of the others.
type TLSFiles = secure.Files

// WithTLS connects by TLS 1.3 where the address is tcp://: the node must show a certificate
// of the cluster that the client's own is of. Without it such connections are not
// encrypted, and a node that has certificates refuses them.
func WithTLS(files TLSFiles) DialOption { return DialOption{tls: files} }

// WithName says what the client is called in the node's log; default is the
// program's name.
func WithName(name string) DialOption { return DialOption{name: name} }

// OnSession has f called for each session but the first: those before it have
// ended, with all their locks, and the lockspaces are open again. It is where a
// program takes anew what it needs; lockify locks nothing by itself. f is a callback
// as that of OnBlocking is, and may call LockAsync, or hand the work to a goroutine
// of the program.
func OnSession(f func(*Session)) DialOption { return DialOption{session: f} }

// OneSession has the client end with its first session: whatever is asked for later
// fails with ErrSessionLost, and what a node without quorum refuses with ErrNoQuorum
// is not tried again. For programs that do one thing under one lock.
func OneSession() DialOption { return DialOption{once: true} }

// NoRing has the client use nothing but the socket. Otherwise, on a Unix socket with
// transport "plain", it goes through memory that it shares with the node, if the node
// offers that: an answer then costs about a microsecond, as long as both ends have a
// processor; to see it come at once, whoever waits for one spins for up to 50 us. With
// "?ring=off" behind it, an address says the same for itself. Session.Ring tells which
// it is.
func NoRing() DialOption { return DialOption{noRing: true} }

// Dial connects to a node: "unix:///path" or "tcp://host:port"; several, with commas
// between them, are tried in turn until one answers. ctx bounds the call, not the
// client. When the session ends, the client redials by itself, the first address
// first, until it has a new one or is closed. Errors: ErrInvalid, ErrVersion,
// ErrLimit, ErrClosed (the node is about to end), and those of the network.
func Dial(ctx context.Context, addr string, opts ...DialOption) (*Client, error) {
	addrs, err := parseAddrs(addr)
	if err != nil {
		return nil, err
	}
	o := DialOption{transport: "plain", name: programName(), clock: engine.BootTime}
	for _, x := range opts {
		o.add(&x)
	}
	if len(o.name) > wire.MaxText {
		return nil, fmt.Errorf("%w: client name of %d bytes, at most %d", ErrInvalid, len(o.name), wire.MaxText)
	}
	if o.via == nil && o.tls.Given() {
		k, err := secure.Open(o.tls, slog.Default())
		if err != nil {
			return nil, fmt.Errorf("%w: TLS: %w", ErrInvalid, err)
		}
		o.via = node.SecureTransport(k, slog.Default())
	}
	if o.via == nil {
		if o.via, err = node.NewTransport(o.transport); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	c := &Client{
		opts: o, addrs: addrs, transport: o.via, clock: o.clock, spaces: map[*remote]struct{}{}, change: make(chan struct{}),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	if err := c.dial(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (o *DialOption) add(x *DialOption) {
	o.transport, o.name = cmp.Or(x.transport, o.transport), cmp.Or(x.name, o.name)
	o.once, o.noRing = o.once || x.once, o.noRing || x.noRing
	if x.session != nil {
		o.session = x.session
	}
	if x.tls.Given() {
		o.tls = x.tls
	}
	if x.via != nil {
		o.via = x.via
	}
	if x.clock != nil {
		o.clock = x.clock
	}
	if x.traces != nil {
		o.traces = x.traces
	}
}

func parseAddrs(list string) (addrs []nodeAddr, err error) {
	for text := range strings.SplitSeq(list, ",") {
		text, noRing := strings.CutSuffix(text, "?ring=off")
		if at := strings.LastIndex(text, "?ring="); at >= 0 {
			return nil, fmt.Errorf("%w: address %q: %q behind it, want ?ring=off or nothing", ErrInvalid, text[:at], text[at:])
		}
		if err := address.CheckClients(text); err != nil {
			return nil, fmt.Errorf("%w: address %q: %w", ErrInvalid, text, err)
		}
		network, rest := address.Split(text)
		addrs = append(addrs, nodeAddr{text, network, rest, noRing})
	}
	return addrs, nil
}

// Open opens a lockspace, 1 to 64 bytes, and makes it if nobody has; it stays, with these
// properties, until nobody has had it open for some minutes (Config.CloseAfter). A node has room
// for 1024, a session for 256 if its node has no other limit. Without a
// session it waits for one, and for a node that can open it, until ctx ends; the
// error then tells as well what was in the way. The lockspace is open in all later
// sessions, too: if the cluster has it with other properties by then, whatever is
// asked of it fails with ErrMismatch. Errors: ErrInvalid, ErrMismatch, ErrLimit,
// ErrClosed; ErrNoQuorum with OneSession, or together with that of ctx.
func (c *Client) Open(ctx context.Context, name string, opts ...SpaceOption) (*Lockspace, error) {
	props, err := spaceArgs(name, opts)
	if err != nil {
		return nil, err
	}
	r := &remote{c: c}
	s := &Lockspace{name: name, props: props, be: r, calls: &c.calls, conflict: conflictOption(opts), tracer: spans(c.opts.traces)}
	r.ls = s
	for failures := 0; ; failures++ {
		session, err := c.await(ctx, nil)
		if err != nil {
			return nil, err
		}
		at, err := session.open(ctx, r)
		switch {
		case err == nil && c.register(at):
			return s, nil
		case errors.Is(err, ErrNoQuorum) && !errors.Is(err, ErrSessionLost) && !c.opts.once:
			if err = c.lookElsewhere(ctx, session, err, failures); err != nil {
				return nil, err
			}
		case err != nil && (c.opts.once || !errors.Is(err, ErrSessionLost)):
			return nil, err
		}
	}
}

// Session gives the present session; between two of them the one that has ended.
func (c *Client) Session() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// AwaitSession waits for a session that has not ended, as far as can be known.
// Errors: ErrClosed, ErrSessionLost with OneSession.
func (c *Client) AwaitSession(ctx context.Context) (*Session, error) { return c.await(ctx, nil) }

// closeTime is for how long Close lets the node read what was sent to it. What is lost with one
// that does not, as it was stopped, are requests that nobody has waited for: the locks go with
// the connection.
const closeTime = time.Second

// Close ends the session, and the client with it; the node releases its locks. Requests that were
// begun and not waited for still reach a node that reads them within a second.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	s := c.live
	c.changed()
	c.mu.Unlock()
	c.stop()
	if s != nil {
		s.conn.CloseSent()
		late := time.AfterFunc(closeTime, s.conn.Close)
		<-s.gone
		late.Stop()
	}
	c.redials.Wait()
	return nil
}
