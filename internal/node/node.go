package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/secure"
	"github.com/lockify-dlm/lockify/lockspace"
)

// Peer is another node of the cluster.
type Peer struct {
	ID       uint16 // 1 to 65535
	Addr     string // "host:port" or "unix:///path"
	Instance uint64 // the start of it that is a member; 0 only where the membership is fixed
	Delay    time.Duration
}

// Config fixes a node. Zero values get the defaults that are given.
type Config struct {
	ID        uint16 // 1 to 65535, unique in the cluster
	Instance  uint64 // low 16 bits ID; 0: made from the clock
	Cluster   string // name that all nodes share; "lockify"
	Listen    string // for the other nodes: "host:port" or "unix:///path"; may be empty without peers
	Peers     []Peer
	Clients   []string         // addresses for clients: "unix:///path", "tcp://host:port"
	Transport engine.Transport // of clients
	Links     engine.Transport // to other nodes; Transport
	Secure    *secure.Keeper   // certificates of this node: TCP is by TLS, in place of both; nil: without
	Shards    int              // shards per lockspace, 1 to 256; GOMAXPROCS, or on a node that is alone for ever 16 times as many
	IdleAfter time.Duration    // how long an unused name stays cached, but for a 32nd of it where there are very many; 10 s
	// CloseAfter is how long a lockspace stays open on this node when no program has it open any
	// more, unless there is no room for another one; 5 min. With fixed membership it stays.
	CloseAfter time.Duration
	Compress   bool // compress large frames between nodes
	// Join begins a membership that changes, nil: it is fixed. Mail takes what other
	// nodes say about it.
	Join       func(instance uint64, h cluster.Handler) (cluster.Provider, error)
	Failure    func() error                      // why this node votes no more; nil, or gives nil: it does, or never did
	Mail       func(from uint16, payload []byte) // from: as its certificate says; 0: it has none
	Features   uint64                            // what is offered to other nodes; 0: wire.Features. Fewer stand for an older version
	SocketMode fs.FileMode                       // of the Unix sockets among Clients; 0: as the umask says
	Access     func() *access.Policy             // what clients may do, as of now; nil: all who are on this machine, everything
	Limits     Limits                            // of clients
	Rings      int                               // clients with a ring at the same time; 256, below 0: none
	LongWait   time.Duration                     // a request that waits for longer is an event; 10 s
	Tracing    *Tracing                          // spans of requests; nil: none
	Logger     *slog.Logger
	// Recovers hears when any lockspace has work to do for a view, and when none has
	// any more; one call at a time. nil: nobody wants to know.
	Recovers func(bool)
}

// Node is a member of the cluster: its shards, its links, its clients.
type Node struct {
	cfg       Config
	fixed     *lockspace.View // the view that never changes; nil: views come by Install
	alone     bool            // and this node is its only member
	common    *common
	links     *engine.Links
	linked    chan struct{} // closed when links is set
	peers     peerTable
	rings     atomic.Int64           // sessions with a ring
	lease     atomic.Int64           // when this node must stop, on its clock; see lease.go
	until     atomic.Int64           // the same as BootTime
	refusal   atomic.Pointer[string] // what clients hear of a fenced node; see quorum.go
	flusher   *flusher
	looks     *looks
	base      time.Time
	ticks     atomic.Uint32 // of tickTime since base, for what need not be exact
	listeners []engine.Listener
	spins     int           // tries to enter a busy shard before the work goes to its inbox
	workers   chan struct{} // full while that many work on what views have brought

	recovering atomic.Int32 // lockspaces that have something to do for a view
	telling    sync.Mutex   // held while Config.Recovers runs; guards told
	told       bool

	unsaid unsaid // log messages of shards

	watching  sync.Mutex // held while watch runs; guards longWaits
	longWaits map[longWait]time.Duration

	installs sync.Mutex        // held while views are installed; before mu
	present  map[uint16]uint64 // instances of the members, by node id; guarded by installs, see view.go
	epoch    atomic.Uint64     // the highest number of a view in force, 0: none yet
	over     chan struct{}     // closed when fenced is set, or the node is closed
	provider cluster.Provider
	begun    chan struct{} // closed when provider is set
	joined   chan struct{} // closed when the node is a member
	joinOnce sync.Once
	forGood  atomic.Bool // the node gives up its vote when it leaves

	mu         sync.Mutex // guards what follows; never taken on the grant path
	members    opener     // where lockspaces are opened; nil: no member yet, or fixed
	fenced     error      // why this node takes no part any more
	spaces     map[uint32]*Space
	maxSpaces  int // lockspaces at the same time
	runners    atomic.Pointer[[]*runner]
	byID       atomic.Pointer[map[uint32]*Space]
	sessions   map[*session]struct{}
	perClient  map[string]int        // sessions of a client, by clientKey
	allowances map[string]*allowance // of clients that are here, or have not theirs whole; likewise
	lobby      engine.Lobby          // clients without a session
	strangers  *rate.Limiter         // lines of the log about them
	nextSess   uint64
	barriers   []barrier
	waiting    atomic.Int32             // barriers
	strays     map[string]chan struct{} // lockspaces to be left that are not among spaces, until they are; see close.go
	closing    int                      // lockspaces that are being closed
	room       chan struct{}            // closed, and made anew, when a lockspace is not being closed any more
	lives      uint64                   // no shard of a lockspace that was closed has had a later life
	closed     bool
}

type barrier struct {
	claim uint64
	who   *session // nil: a program in this process
	done  func(error)
}

// ErrClosed: the node is closed.
var ErrClosed = errors.New("node: closed")

// Start makes a node run. ctx bounds the start only. With a nil view the node takes
// part as cfg.Join says; else it keeps that view, and cfg.Peers, for ever.
func Start(ctx context.Context, cfg Config, fixed *lockspace.View) (*Node, error) {
	if err := cfg.setDefaults(fixed != nil && len(fixed.Members) == 1); err != nil {
		return nil, err
	}
	n := &Node{
		cfg: cfg, base: time.Now(),
		spaces: map[uint32]*Space{}, maxSpaces: maxSpaces, strays: map[string]chan struct{}{}, room: make(chan struct{}), sessions: map[*session]struct{}{}, perClient: map[string]int{}, allowances: map[string]*allowance{}, strangers: rate.NewLimiter(1, 20), linked: make(chan struct{}), over: make(chan struct{}),
		begun: make(chan struct{}), joined: make(chan struct{}),
	}
	if runtime.GOMAXPROCS(0) > 1 { // else whoever is inside cannot leave meanwhile
		n.spins = maxSpins
	}
	n.workers = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	n.runners.Store(&[]*runner{})
	n.byID.Store(&map[uint32]*Space{})
	n.lease.Store(math.MaxInt64)
	n.until.Store(math.MaxInt64)
	n.peers.init()
	if fixed != nil {
		n.fixed, n.alone = fixed, len(fixed.Members) == 1
		n.epoch.Store(n.fixed.Epoch)
		n.peers.set(cfg.Peers)
	}
	n.common = newCommon(n.fenceMoved)
	n.flusher, n.looks = newFlusher(n), newLooks()
	var err error
	if n.links, err = engine.NewLinks(n.linksConfig(), (*linkSide)(n)); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	close(n.linked)
	go n.flusher.run()
	for _, addr := range cfg.Clients {
		l, err := n.listenClients(addr)
		if err != nil {
			n.Close(ctx)
			return nil, err
		}
		n.listeners = append(n.listeners, l)
	}
	if err := n.join(); err != nil {
		n.Close(ctx)
		return nil, err
	}
	return n, nil
}

// now is the node's clock: ns since its start, monotonic.
func (n *Node) now() int64 { return int64(time.Since(n.base)) }

// Now gives the clock of which lockspace.LockInfo.Since is, in ns.
func (n *Node) Now() int64 { return n.now() }

// ID gives the node id.
func (n *Node) ID() uint16 { return n.cfg.ID }

// Instance gives the number of this start of the node.
func (n *Node) Instance() uint64 { return n.cfg.Instance }

// Ready waits until all peers are connected.
func (n *Node) Ready(ctx context.Context) error { return n.links.Ready(ctx) }

// LinkAddr gives the address bound for the other nodes, "" without Listen.
func (n *Node) LinkAddr() string {
	for _, addr := range n.links.Addrs() {
		return addr
	}
	return ""
}

// ClientAddrs gives the addresses bound for clients, in the order of Config.
func (n *Node) ClientAddrs() []net.Addr {
	var out []net.Addr
	for i, l := range n.listeners {
		out = append(out, clientAddr{address.Network(n.cfg.Clients[i]), l.Addr()})
	}
	return out
}

type clientAddr struct{ network, addr string }

func (a clientAddr) Network() string { return a.network }
func (a clientAddr) String() string  { return a.network + "://" + a.addr }

// Congested says that a peer does not keep up with what is queued for it.
func (n *Node) Congested() bool { return n.links.Congested() }

// Wait blocks while the node takes no new work, because a peer does not keep
// up with what is queued for it.
func (n *Node) Wait(ctx context.Context) error {
	if !n.links.Congested() {
		return nil
	}
	return n.links.WaitUncongested(ctx)
}

// maxSpins is about a microsecond of looking at a word of memory.
const maxSpins = 1000

func (n *Node) allRunners() []*runner { return *n.runners.Load() }

// fenceMoved is called when claims have closed, inside some shard.
func (n *Node) fenceMoved() {
	if n.waiting.Load() > 0 {
		signal(n.flusher.hurry)
	}
	for _, r := range n.allRunners() {
		if r.holding.Load() {
			n.flusher.fence.Store(true)
			signal(n.flusher.hurry)
			return
		}
	}
}

// Barrier calls done when every claim that is open now has closed: from then
// on what the node has created is known to the cluster. done may run before
// Barrier returns and must not block.
func (n *Node) Barrier(done func(error)) { n.barrier(nil, done) }

// barrier is Barrier for a session, nil: for nobody who may go.
func (n *Node) barrier(who *session, done func(error)) {
	n.mu.Lock()
	claim := n.common.issued.Load() // under mu: they rise from one barrier to the next
	if n.closed {
		n.mu.Unlock()
		done(ErrClosed)
		return
	}
	n.barriers = append(n.barriers, barrier{claim, who, done})
	n.waiting.Add(1)
	n.mu.Unlock()
	n.checkBarriers()
	n.Hurry()
}

// Hurry sends what waits for company now: somebody waits for the answers.
func (n *Node) Hurry() { signal(n.flusher.hurry) }

func (n *Node) checkBarriers() {
	if n.waiting.Load() == 0 {
		return
	}
	closed := n.common.closed.Load()
	n.mu.Lock()
	passed := 0
	for passed < len(n.barriers) && n.barriers[passed].claim <= closed {
		passed++
	}
	due := n.barriers[:passed:passed]
	n.barriers = n.barriers[passed:]
	n.waiting.Add(-int32(len(due)))
	n.mu.Unlock()
	for _, b := range due {
		b.done(nil)
	}
}

// forgetBarriers lets go of those of a session that has ended.
func (n *Node) forgetBarriers(who *session) {
	if n.waiting.Load() == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := slices.DeleteFunc(n.barriers, func(b barrier) bool { return b.who == who })
	n.waiting.Add(int32(len(kept) - len(n.barriers)))
	n.barriers = kept
}

// Close ends the node: clients are told, their locks are released, what the node
// has for itself is given back (lockspace.Shard.Leave), messages that may leave are
// sent until ctx ends, links are closed.
func (n *Node) Close(ctx context.Context) error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	fenced := n.fenced
	select {
	case <-n.over:
	default:
		close(n.over)
	}
	barriers := n.barriers
	n.barriers = nil
	n.mu.Unlock()
	for _, b := range barriers {
		b.done(ErrClosed)
	}
	left := n.awaitHangUps(ctx)
	for _, l := range n.listeners {
		l.Close()
	}
	if fenced == nil && left == nil { // else all is lost already, or nothing may be released
		left = n.leave(ctx)
	}
	n.flusher.stop()
	for _, r := range n.allRunners() {
		r.wait((*runner).flushAll)
	}
	gone, quit := n.quit(ctx, fenced == nil && left == nil)
	if fenced != nil { // what it had to say counts no more, and who would hear it may be out of reach
		now, cancel := context.WithCancel(ctx)
		cancel()
		ctx = now
	}
	links := n.links.Close(ctx)
	if gone || fenced != nil { // the others have ended their links, and are owed nothing
		links = nil
	}
	return errors.Join(left, quit, links)
}
