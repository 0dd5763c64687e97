package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// Mail is what a node says to another one outside of their link: it need not have
// one, or be a member at all. It may be lost, but does not come twice or late by
// much: what is not written in time is dropped. A connection brings mail one way.
//
//	Mailer.Send -> queue of an address -> connection -> session -> LinksConfig.Mail

const (
	maxMailers  = 4096             // connections that bring mail here
	maxMailed   = 4096             // addresses that mail goes to, which those may say who ask something
	mailQueue   = 64               // frames that wait for a connection
	mailTimeout = time.Second      // to connect, or write a frame
	mailIdle    = 30 * time.Second // a connection without mail is closed
	mailStays   = 15 * time.Second // whoever keeps a connection for so long is likely to take what it brings
)

// ErrMail: no more connections that bring mail, or nobody takes it.
var ErrMail = errors.New("engine: mail is refused")

// firstMail makes an accepted connection one that brings mail.
func (s *session) firstMail(h *wire.Header, payload []byte) error {
	s.ls.mu.Lock()
	ok := s.ls.cfg.Mail != nil && s.ls.mails < maxMailers
	if ok {
		s.ls.mails++
		s.state = isMail
	}
	s.ls.mu.Unlock()
	if !ok {
		return ErrMail
	}
	if prove := s.ls.cfg.PeerNode; prove != nil {
		var err error
		if s.from, err = prove(s.c); err != nil {
			return fmt.Errorf("%w: %w", ErrMail, err)
		}
	}
	s.ls.lobby.Leave(s.ticket)
	s.timer.Reset(2 * mailIdle)
	return s.onMail(h, payload)
}

func (s *session) onMail(h *wire.Header, payload []byte) error {
	if h.Kind != wire.KindMail {
		return fmt.Errorf("%w: frame of kind %d among mail", ErrProtocol, h.Kind)
	}
	s.timer.Reset(2 * mailIdle) // else the other end is gone without a word
	s.ls.cfg.Mail(s.from, payload)
	return nil
}

// Mailer sends mail. Its connections come and go with what is to be sent.
type Mailer struct {
	log    *slog.Logger
	tls    *tlsEnds // nil: none
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	boxes map[string]*mailbox // by address
}

type mailbox struct {
	queue chan []byte
	since time.Time // of the connection; of deliver

	mu      sync.Mutex
	trouble string
}

// NewMailer makes one whose mail goes to nodes that have a transport like t.
func NewMailer(t Transport, log *slog.Logger) *Mailer {
	m := &Mailer{log: log, boxes: map[string]*mailbox{}}
	if p, ok := t.(plain); ok {
		m.tls = p.tls
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Send sends payload, at most wire.MaxPayload bytes, to the node that listens at
// addr; network is "tcp" or "unix". It does not wait, and keeps nothing of payload.
func (m *Mailer) Send(network, addr string, payload []byte) {
	frame := append(GetBuf(), payload...)
	wire.SealFrame(frame, &wire.Header{Version: wire.HelloVersion, Kind: wire.KindMail})
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil {
		PutBuf(frame)
		return
	}
	key := network + " " + addr
	box := m.boxes[key]
	if box == nil {
		if len(m.boxes) >= maxMailed {
			PutBuf(frame)
			return
		}
		box = &mailbox{queue: make(chan []byte, mailQueue)}
		m.boxes[key] = box
		m.wg.Go(func() { m.deliver(key, network, addr, box) })
	}
	select {
	case box.queue <- frame:
	default:
		PutBuf(frame)
	}
}

// Close ends it. What has not been sent is dropped.
func (m *Mailer) Close() {
	m.cancel()
	m.wg.Wait()
}

// deliver sends what comes for an address, until nothing has come for a while.
func (m *Mailer) deliver(key, network, addr string, box *mailbox) {
	var c net.Conn
	var bad error
	defer func() {
		if c != nil {
			bare(c).Close()
		}
	}()
	idle := time.NewTimer(mailIdle)
	defer idle.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case frame := <-box.queue:
			err := m.send(&c, network, addr, frame, box)
			PutBuf(frame)
			if err != nil && m.ctx.Err() == nil {
				m.complain(addr, err, bad)
			}
			box.sent(err)
			bad = err
			idle.Reset(mailIdle)
		case <-idle.C:
			if m.retire(key, box) {
				return
			}
		}
	}
}

// complain says what is wrong with an address: loudly when it is news.
func (m *Mailer) complain(addr string, err, before error) {
	level := slog.LevelWarn
	if before != nil {
		level = slog.LevelDebug
	}
	m.log.Log(m.ctx, level, "cannot reach a node for membership", "addr", addr, "err", err)
}

// retire forgets a mailbox with nothing in it.
func (m *Mailer) retire(key string, box *mailbox) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(box.queue) > 0 {
		return false
	}
	delete(m.boxes, key)
	return true
}

// send writes a frame, once more on a new connection if the present one turns out to
// have ended: nobody has read a frame that was not taken as a whole.
func (m *Mailer) send(c *net.Conn, network, addr string, frame []byte, box *mailbox) error {
	old := *c != nil
	err := m.write(c, network, addr, frame, box)
	if old && hungUp(err) {
		err = m.write(c, network, addr, frame, box)
	}
	return err
}

// write writes a frame, connecting first if there is no connection.
func (m *Mailer) write(c *net.Conn, network, addr string, frame []byte, box *mailbox) error {
	if *c == nil {
		ctx, cancel := context.WithTimeout(m.ctx, mailTimeout)
		defer cancel()
		d := net.Dialer{ControlContext: hasty}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return err
		}
		if conn, err = m.tls.dial(ctx, conn); err != nil {
			return err
		}
		*c = conn
		box.since = time.Now()
		m.wg.Go(func() { box.overhear(conn) })
	}
	err := (*c).SetWriteDeadline(time.Now().Add(mailTimeout))
	if err == nil {
		_, err = (*c).Write(frame)
	}
	if err != nil {
		bare(*c).Close()
		*c = nil
	}
	return err
}
