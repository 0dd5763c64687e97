package engine

import (
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// The receiving half of a link: numbers, acknowledgements, control frames.

// receive handles a frame of an established connection.
func (l *link) receive(s *session, h *wire.Header, payload []byte) error {
	l.recv.Lock()
	defer l.recv.Unlock()
	deliver, ackNow, err := l.accept(s, h)
	if err != nil {
		return err
	}
	if ackNow {
		l.kick()
	}
	if deliver {
		l.ls.h.OnFrame(l.id, h, payload)
		return nil
	}
	if h.Seq != 0 {
		return nil // received before
	}
	return l.receiveControl(s, h, payload)
}

// accept does the book-keeping for a received frame.
func (l *link) accept(s *session, h *wire.Header) (deliver, ackNow bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return false, false, l.failed
	}
	if l.sess != s {
		return false, false, ErrReplaced
	}
	if err := l.q.ack(h.Ack); err != nil {
		return false, false, err
	}
	l.trim()
	switch {
	case h.Kind == wire.KindClient || h.Kind == wire.KindNode && h.Seq == 0:
		return false, false, fmt.Errorf("%w: frame of kind %d with number %d", ErrProtocol, h.Kind, h.Seq)
	case h.Seq == 0:
		return false, false, nil
	case h.Seq <= l.lastRecv:
		l.count.repeated++
	case h.Seq > l.lastRecv+1:
		return false, false, fmt.Errorf("%w: frame %d follows %d", ErrProtocol, h.Seq, l.lastRecv)
	default:
		l.lastRecv++
		deliver = true
	}
	l.unacked++
	l.unackedB += wire.HeaderSize + int(h.Length)
	if l.unacked >= ackFrames || l.unackedB >= ackBytes {
		l.ackDue = true
		return deliver, true, nil
	}
	if !l.ackArmed {
		l.ackArmed = true
		if l.ackTimer == nil {
			l.ackTimer = time.AfterFunc(ackDelay, l.onAckTimer)
		} else {
			l.ackTimer.Reset(ackDelay)
		}
	}
	return deliver, false, nil
}

func (l *link) onAckTimer() {
	l.mu.Lock()
	l.ackArmed = false
	due := l.unacked > 0 && l.sess != nil
	l.ackDue = l.ackDue || due
	l.mu.Unlock()
	if due {
		l.kick()
	}
}

func (l *link) receiveControl(s *session, h *wire.Header, payload []byte) error {
	var m wire.Msg
	if err := decodeOne(h, payload, &m); err != nil {
		return err
	}
	switch m.Type {
	case wire.LinkAck:
	case wire.LinkPing:
		l.mu.Lock()
		l.control(&wire.Msg{Type: wire.LinkPong, Num: m.Num}, l.dueNow())
		l.mu.Unlock()
		l.kick()
	case wire.LinkPong:
		l.mu.Lock()
		s.pong(m.Num, nanos())
		l.mu.Unlock()
	case wire.LinkClose:
		return fmt.Errorf("%w: %q", ErrPeerClosed, m.Text)
	case wire.LinkRefuse:
		return fmt.Errorf("%w: %q", ErrRefused, m.Text)
	default:
		return fmt.Errorf("%w: message type %d", ErrProtocol, m.Type)
	}
	return nil
}

// dueNow is the due time of a delayed frame that is made now.
func (l *link) dueNow() int64 {
	if l.delay == 0 {
		return 0
	}
	return nanos() + l.delay
}
