package engine

import (
	"fmt"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

type sessionState uint8

const (
	waitHello   sessionState = iota // accepted; the other end speaks first
	waitWelcome                     // dialled; hello is sent
	waitConfirm                     // accepted; welcome is sent
	isUp
	isMail    // accepted; brings mail, see mail.go
	isRefused // we have said no and wait for the other end to go
)

// session is one connection of a link, from before it is known whose.
type session struct {
	ls     *Links
	c      Conn
	fr     frameReader
	on     func(h *wire.Header, payload []byte) error
	state  sessionState // of the reading goroutine
	l      *link        // nil until a hello was accepted
	hello  wire.Msg     // what the other end said of itself: Instance, Features, Seq
	ver    uint8        // agreed
	timer  *time.Timer  // for the handshake
	ticket *Ticket      // nil if this end has dialled
	from   uint16       // who sends mail here, as its certificate says; 0: nothing does
	done   chan struct{}
	reader *LinkReader // nil: not up, or c can't be read by others

	mu  sync.Mutex
	why error // set once; the connection is closed or about to be

	mute bool // the other end reads no more; under link.mu

	// For keep-alive and round trip time; under link.mu.
	pingNum uint32
	pingAt  int64 // when the last ping was made; 0: answered
	lastIn  uint64
	heardAt int64 // when lastIn last changed, as far as the ticks saw
}

// linkSide is the Handler for connections between nodes.
type linkSide struct {
	ls *Links
	l  *link // the peer being dialled; nil for accepted connections
}

// readAhead is above what a peer may have under way: it stops at overrunFactor
// times its MaxQueuedBytes, which is taken to be ours.
func (d linkSide) readAhead() int {
	return max(maxReadAhead, (overrunFactor+1)*d.ls.cfg.MaxQueuedBytes)
}

func (d linkSide) OnOpen(c Conn) {
	s := &session{ls: d.ls, c: c, l: d.l, done: make(chan struct{})}
	s.on = s.onFrame
	c.SetUser(s)
	s.timer = time.AfterFunc(handshakeTimeout, func() { s.fail(ErrHandshake) })
	if s.l == nil {
		s.ticket = d.ls.lobby.Enter(func() { c.Close() })
	}
	if !d.ls.addSession(s) {
		s.fail(ErrClosed)
		return
	}
	if s.l != nil {
		s.state = waitWelcome
		s.sendHello()
	}
}

func (d linkSide) OnData(c Conn, r Reader) error {
	s := c.User().(*session)
	count := &d.ls.strangers
	if s.l != nil {
		count = &s.l.count.counters
	}
	n, err := s.fr.read(r, count, s.on)
	if n > 0 && err == nil && s.state == isUp {
		s.l.recv.Lock()
		if s.l.upOn == s {
			d.ls.h.OnIdle(s.l.id)
		}
		s.l.recv.Unlock()
	}
	return err
}

func (d linkSide) OnClose(c Conn, err error) {
	s := c.User().(*session)
	s.timer.Stop()
	d.ls.lobby.Leave(s.ticket)
	err = s.fail(err)
	if s.l != nil {
		s.l.closed(s, err)
	}
	d.ls.removeSession(s, err)
	close(s.done)
}

// fail closes the connection and returns the first reason given.
func (s *session) fail(err error) error {
	s.mu.Lock()
	first := s.why == nil
	if first {
		s.why = err
	}
	err = s.why
	s.mu.Unlock()
	if first {
		s.c.Close()
	}
	return err
}

// pong takes the answer to a ping; link.mu is held.
func (s *session) pong(num uint32, now int64) {
	if num != s.pingNum || s.pingAt == 0 {
		return
	}
	sample := now - s.pingAt
	s.pingAt = 0
	c := &s.l.count
	if c.rtt == 0 {
		c.rtt = sample
	} else {
		c.rtt += (sample - c.rtt) / 8
	}
}

// ping makes a ping unless one is under way; link.mu is held.
func (s *session) ping(now int64) {
	if s.pingAt != 0 {
		return
	}
	s.pingNum++
	s.pingAt = now
	s.l.control(&wire.Msg{Type: wire.LinkPing, Num: s.pingNum}, s.l.dueNow())
}

// tick is called for each link at the keep-alive interval.
func (l *link) tick(now int64) {
	l.mu.Lock()
	s := l.sess
	if s == nil {
		l.mu.Unlock()
		return
	}
	if in := l.count.framesIn.Load(); in != s.lastIn {
		s.lastIn, s.heardAt = in, now
	}
	dead := now-s.heardAt >= int64(l.ls.cfg.DeadAfter)
	s.ping(now)
	l.mu.Unlock()
	if dead {
		s.fail(ErrDead)
		return
	}
	l.kick()
}

// detach makes s the connection that may take over, ends the one before, and
// returns the last frame received. No frame is being delivered when it returns.
func (l *link) detach(s *session) (lastRecv uint64) {
	l.recv.Lock()
	defer l.recv.Unlock()
	l.mu.Lock()
	old, oldCand := l.sess, l.cand
	l.sess, l.cand = nil, s
	l.dropControl()
	lastRecv = l.lastRecv
	l.mu.Unlock()
	if oldCand != nil && oldCand != s {
		oldCand.fail(ErrReplaced)
	}
	if old != nil {
		old.fail(ErrReplaced)
		l.down(old, ErrReplaced)
	}
	return lastRecv
}

// dropControl forgets frames of a connection that is gone; mu is held.
func (l *link) dropControl() {
	for i := range l.ctl {
		PutBuf(l.ctl[i].buf)
	}
	clear(l.ctl)
	l.ctl = l.ctl[:0]
}

// install puts the link on s, whose other end has received frames up to s.hello.Seq.
func (l *link) install(s *session) error {
	l.recv.Lock()
	defer l.recv.Unlock()
	l.mu.Lock()
	if l.cand != s || l.failed != nil || l.want != 0 && l.want != s.hello.Instance {
		failed := l.failed
		l.mu.Unlock()
		if failed != nil {
			return failed
		}
		return ErrReplaced
	}
	if l.upOn != nil { // its end was not reported yet
		l.mu.Unlock()
		l.down(l.upOn, ErrReplaced)
		l.mu.Lock()
	}
	s.reader = newLinkReader(l, s.c)
	l.cand, l.sess = nil, s
	l.instance, l.version, l.features = s.hello.Instance, s.ver, s.hello.Features
	l.resuming, l.resumeAt = true, s.hello.Seq
	now := nanos()
	s.heardAt, s.lastIn = now, l.count.framesIn.Load()
	if s.state == waitWelcome { // the confirmation
		l.control(&wire.Msg{Type: wire.LinkAck}, 0)
	}
	s.ping(now)
	s.state = isUp
	l.upOn = s
	l.count.connects++
	mine := !l.writing
	l.writing = true
	l.mu.Unlock()

	s.timer.Stop()
	l.ls.log.Info("link up", "peer", l.id, "instance", fmt.Sprintf("%#x", s.hello.Instance), "addr", s.c.RemoteAddr(), "resume", s.hello.Seq)
	l.ls.h.OnPeerUp(l.id, s.hello.Instance, s.hello.Features)
	l.ls.changed.open()
	if mine {
		pump(l, false)
	}
	return nil
}

// down reports the end of s once, if its beginning was; recv is held.
func (l *link) down(s *session, err error) {
	l.mu.Lock()
	failed := l.failed
	l.mu.Unlock()
	if failed != nil {
		l.downFailed(failed)
	}
	if l.upOn != s {
		return
	}
	l.upOn = nil
	l.ls.log.Info("link down", "peer", l.id, "err", err)
	l.ls.h.OnPeerDown(l.id, err)
	l.ls.changed.open()
}

// closed is called when the connection of s has ended.
func (l *link) closed(s *session, err error) {
	l.recv.Lock()
	defer l.recv.Unlock()
	l.mu.Lock()
	if l.sess == s {
		l.sess = nil
		l.dropControl()
	}
	if l.cand == s {
		l.cand = nil
	}
	l.mu.Unlock()
	l.down(s, err)
}
