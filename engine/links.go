package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// dialTimeout bounds one attempt to connect.
const dialTimeout = 3 * time.Second

// LinkHandler receives what happens on links. For one peer, calls never
// overlap. They run on goroutines of the engine, or on that of who reads in their place
// (LinkReader), and must not wait for other callbacks, nor call Close; Send never waits and may be called.
type LinkHandler interface {
	// OnFrame is called for each KindNode frame and each sequenced KindLink
	// frame (LinkSpace), exactly once and in the order of the peer's Send. h
	// and payload live until it returns.
	OnFrame(peer uint16, h *wire.Header, payload []byte)

	// OnIdle is called when no complete frame is left to deliver right now: the
	// moment to send what was collected. It may come without an OnFrame before.
	OnIdle(peer uint16)

	// OnPeerUp is called when a connection is established, also when it
	// resumes. features are the bits that both ends have.
	OnPeerUp(peer uint16, instance, features uint64)

	// OnPeerDown is called when it is lost. The link is re-established and
	// loses nothing, unless err is ErrOverrun: then all frames for the peer
	// are dropped, now and later.
	OnPeerDown(peer uint16, err error)

	// OnPeerReset is called once when a peer turns out to be another instance
	// than the one we knew, or the same but without its memory of us. The
	// link stays down; only a new view can help.
	OnPeerReset(peer uint16, oldInstance, newInstance uint64)
}

// linkMap has the links by peer. It is not changed: SetPeers makes another one.
type linkMap map[uint16]*link

// Links are the connections of one node to all others.
type Links struct {
	cfg     LinksConfig
	h       LinkHandler
	log     *slog.Logger
	links   atomic.Pointer[linkMap]
	delayer atomic.Pointer[delayer] // nil as long as there was no delay

	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup // dial loops, keep-alive, reports of failure
	listeners []Listener
	lobby     Lobby
	moving    atomic.Bool // peers come and go: LinksConfig.Moving, or SetPeers was called
	draining  atomic.Bool // Close was called: no new frames
	leaving   atomic.Bool // goodbye has been said: no new connections
	congested atomic.Int32
	clogged   atomic.Int32
	changed   gate // opens when a link goes up or down, is relieved, or has drained
	strangers counters

	mu       sync.Mutex
	sessions map[*session]struct{}
	mails    int // of sessions that bring mail
	closed   bool
	said     map[uint16]string // last complaint per peer
}

// NewLinks listens and starts to connect. Errors: ErrConfig, and those of the network.
func NewLinks(cfg LinksConfig, h LinkHandler) (*Links, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	ls := &Links{
		cfg: cfg, h: h, log: cfg.Logger.With("node", cfg.Self),
		sessions: make(map[*session]struct{}),
		said:     make(map[uint16]string),
	}
	ls.ctx, ls.cancel = context.WithCancel(context.Background())
	ls.links.Store(&linkMap{})
	ls.moving.Store(cfg.Moving)
	links, added, err := ls.linksFor(cfg.Peers)
	if err != nil {
		return nil, err
	}
	ls.links.Store(&links)
	for _, addr := range cfg.Listen {
		ln, err := cfg.Transport.Listen(cfg.Network, addr, linkSide{ls: ls})
		if err != nil {
			ls.stop()
			return nil, err
		}
		ls.listeners = append(ls.listeners, ln)
	}
	ls.dialAll(added)
	ls.wg.Go(ls.keepAlive)
	return ls, nil
}

func (ls *Links) all() linkMap { return *ls.links.Load() }

func (ls *Links) link(peer uint16) *link { return ls.all()[peer] }

// Addrs gives the addresses that are listened on, in the order of
// LinksConfig.Listen.
func (ls *Links) Addrs() []string {
	addrs := make([]string, 0, len(ls.listeners))
	for _, ln := range ls.listeners {
		addrs = append(addrs, ln.Addr())
	}
	return addrs
}

// Send queues a frame for a peer and takes over its buffer (GetBuf): header
// room and complete payload of at most wire.MaxPayload bytes. Of h, the caller
// sets Kind (KindNode, or KindLink for LinkSpace), Count, Shard, Lockspace,
// Epoch and Clock; Send sets the rest. It never waits. Frames for one peer
// leave in the order of the calls and arrive exactly once, unless the link
// fails with ErrOverrun, the peer is reset, or Close comes in between. A frame
// to an unknown or failed peer is dropped.
func (ls *Links) Send(peer uint16, frame []byte, h wire.Header) {
	l := ls.link(peer)
	if l == nil {
		PutBuf(frame)
		return
	}
	l.send(frame, h)
}

// queued is how many bytes a peer has not acknowledged.
func (ls *Links) queued(peer uint16) int {
	l := ls.link(peer)
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.q.bytes
}

// Congested says that a peer has more than MaxQueuedBytes unacknowledged, and
// not yet gone below half of it again: start no new work. Answers may be sent.
func (ls *Links) Congested() bool { return ls.congested.Load() > 0 }

// Clogged says that a peer has more than twice MaxQueuedBytes unacknowledged, and not yet gone
// below MaxQueuedBytes again: who can't wait while links are congested has to be refused, for
// at four times that much the link fails.
func (ls *Links) Clogged() bool { return ls.clogged.Load() > 0 }

// WaitUncongested waits until no peer is congested. It returns the cause of
// ctx's end, or ErrClosed.
func (ls *Links) WaitUncongested(ctx context.Context) error {
	return ls.await(ctx, func() bool { return !ls.Congested() })
}

// Ready waits until all peers are connected.
func (ls *Links) Ready(ctx context.Context) error {
	return ls.await(ctx, func() bool {
		for _, l := range ls.all() {
			if !l.connected() {
				return false
			}
		}
		return true
	})
}

func (l *link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sess != nil
}

func (ls *Links) await(ctx context.Context, ok func() bool) error {
	for {
		changed := ls.changed.wait()
		if ok() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ls.ctx.Done():
			return ErrClosed
		}
	}
}

// dial keeps a link connected until it ends.
func (l *link) dial() {
	failures := 0
	for l.alive() {
		ctx, cancel := context.WithTimeout(l.ctx, dialTimeout)
		c, err := l.ls.cfg.Transport.Dial(ctx, l.ls.cfg.Network, l.addr, linkSide{l.ls, l})
		cancel()
		if err != nil {
			l.ls.complain(l.id, wire.OK, "cannot connect", err.Error())
		} else {
			s := c.User().(*session)
			<-s.done
			if s.state == isUp {
				failures = 0
			}
		}
		t := time.NewTimer(l.ls.cfg.Backoff(failures))
		failures++
		select {
		case <-t.C:
		case <-l.ctx.Done():
			t.Stop()
		}
	}
}

func (l *link) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed == nil && l.ctx.Err() == nil
}

func (ls *Links) keepAlive() {
	t := time.NewTicker(ls.cfg.KeepAlive)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ls.ctx.Done():
			return
		}
		now := nanos()
		for _, l := range ls.all() {
			l.tick(now)
		}
	}
}

// complain logs what keeps a link down: loudly when it is news. That one node does not
// know another one yet is none where peers come and go.
func (ls *Links) complain(peer uint16, status wire.Status, what, reason string) {
	ls.mu.Lock()
	level := slog.LevelWarn
	if status == wire.NoNode && ls.moving.Load() {
		level = slog.LevelDebug
	}
	if _, known := ls.all()[peer]; known {
		if ls.said[peer] == reason {
			level = slog.LevelDebug
		}
		ls.said[peer] = reason
	}
	ls.mu.Unlock()
	ls.log.Log(context.Background(), level, what, "peer", peer, "reason", reason)
}

func (ls *Links) addSession(s *session) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return false
	}
	ls.sessions[s] = struct{}{}
	return true
}

// spawn runs f, which Close waits for; not any more once it does.
func (ls *Links) spawn(f func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.closed {
		ls.wg.Go(f)
	}
}

func (ls *Links) removeSession(s *session, err error) {
	ls.mu.Lock()
	delete(ls.sessions, s)
	if s.state == isMail {
		ls.mails--
	}
	ls.mu.Unlock()
	if s.state != isUp && s.state != isMail && s.state != isRefused && !errors.Is(err, ErrRefused) && ls.ctx.Err() == nil {
		ls.log.Warn("connection ended before agreement", "addr", s.c.RemoteAddr(), "err", err)
	}
}

// Close sends what can be sent and acknowledged until ctx ends, says goodbye
// and stops everything; it does not wait for peers that are not connected. No
// callback runs after it has returned. An error names the peers that have not
// acknowledged everything. It must not be called twice.
func (ls *Links) Close(ctx context.Context) error {
	ls.draining.Store(true)
	// An error says that ctx has ended; what is left is counted below.
	_ = ls.await(ctx, func() bool {
		for _, l := range ls.all() {
			if !l.drained() {
				return false
			}
		}
		return true
	})
	ls.goodbye(ctx)
	var left []uint16
	for id := range ls.all() {
		if ls.queued(id) > 0 {
			left = append(left, id)
		}
	}
	ls.stop()
	if len(left) > 0 {
		slices.Sort(left)
		return fmt.Errorf("%w: links closed with frames left for peers %v", ErrClosed, left)
	}
	return nil
}

// drained says that nothing can be gained by waiting for this peer.
func (l *link) drained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.q.bytes == 0 || l.sess == nil
}

// goodbye tells the peers and waits, until ctx ends, for them to hang up.
func (ls *Links) goodbye(ctx context.Context) {
	ls.leaving.Store(true)
	var up []*session
	for _, l := range ls.all() {
		l.mu.Lock()
		if l.sess != nil {
			up = append(up, l.sess)
			l.control(&wire.Msg{Type: wire.LinkClose, Text: []byte("node shuts down")}, 0)
		}
		l.mu.Unlock()
		l.kick()
	}
	for _, s := range up {
		select {
		case <-s.done:
		case <-ctx.Done():
		}
	}
}

func (ls *Links) stop() {
	ls.draining.Store(true)
	ls.cancel()
	ls.mu.Lock()
	ls.closed = true
	var all []*session
	for s := range ls.sessions {
		all = append(all, s)
	}
	ls.mu.Unlock()
	for _, s := range all {
		s.fail(ErrClosed)
	}
	for _, ln := range ls.listeners {
		ln.Close()
	}
	for _, s := range all {
		<-s.done
	}
	ls.wg.Wait()
	if d := ls.delayer.Load(); d != nil {
		d.stop()
	}
	for _, l := range ls.all() {
		l.stop()
	}
}

// stop waits for the writer, which has no connection any more.
func (l *link) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing {
		l.idle.Wait()
	}
	if l.ackTimer != nil {
		l.ackTimer.Stop()
	}
	l.q.drop()
}
