package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// recorder is a Handler for messages with a length of 4 bytes in front.
type recorder struct {
	t      testing.TB
	onOpen func(c Conn)
	onMsg  func(c Conn, msg []byte) error
	raw    func(c Conn, r Reader) error // in place of all the rest of OnData

	mu     sync.Mutex
	cond   sync.Cond
	inside map[Conn]bool // a callback is running
	begun  map[Conn]int  // the length was read, the message was not
	closed map[Conn][]error
	msgs   [][]byte
	late   bool
}

func newRecorder(t testing.TB) *recorder {
	r := &recorder{t: t, inside: map[Conn]bool{}, begun: map[Conn]int{}, closed: map[Conn][]error{}}
	r.cond.L = &r.mu
	return r
}

func (r *recorder) enter(c Conn) func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inside[c] {
		r.t.Error("callbacks of one connection overlap")
	}
	if len(r.closed[c]) > 0 {
		r.t.Error("callback after OnClose")
	}
	r.inside[c] = true
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.inside[c] = false
		r.cond.Broadcast()
	}
}

func (r *recorder) OnOpen(c Conn) {
	defer r.enter(c)()
	c.SetUser(c.RemoteAddr())
	if r.onOpen != nil {
		r.onOpen(c)
	}
}

func (r *recorder) OnData(c Conn, rd Reader) error {
	defer r.enter(c)()
	if c.User() != c.RemoteAddr() {
		r.t.Errorf("user value is %v, want %v", c.User(), c.RemoteAddr())
	}
	if r.raw != nil {
		return r.raw(c, rd)
	}
	for {
		r.mu.Lock()
		size, begun := r.begun[c]
		r.mu.Unlock()
		if !begun {
			size = 4
		}
		if rd.Len() < size {
			if _, err := rd.Next(rd.Len() + 1); !errors.Is(err, ErrShort) {
				r.t.Errorf("reading too much: %v, want ErrShort", err)
			}
			return nil
		}
		msg, err := rd.Next(size)
		if err != nil {
			return err
		}
		r.mu.Lock()
		if begun {
			delete(r.begun, c)
		} else {
			r.begun[c] = int(binary.LittleEndian.Uint32(msg))
		}
		r.mu.Unlock()
		if !begun {
			continue
		}
		if r.onMsg != nil {
			if err := r.onMsg(c, msg); err != nil {
				return err
			}
		}
		r.mu.Lock()
		r.msgs = append(r.msgs, bytes.Clone(msg))
		r.cond.Broadcast()
		r.mu.Unlock()
	}
}

func (r *recorder) OnClose(c Conn, err error) {
	leave := r.enter(c)
	r.mu.Lock()
	r.closed[c] = append(r.closed[c], err)
	r.mu.Unlock()
	leave()
}

func (r *recorder) await(what string, ok func() bool) {
	r.t.Helper()
	late := time.AfterFunc(testTimeout, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.late = true
		r.cond.Broadcast()
	})
	defer late.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !ok() {
		if r.late {
			r.t.Fatalf("timed out waiting for %s: %d messages, closed: %v", what, len(r.msgs), r.closed)
		}
		r.cond.Wait()
	}
}

// awaitClosed waits for one OnClose and gives its error.
func (r *recorder) awaitClosed() (err error) {
	r.t.Helper()
	r.await("OnClose", func() bool {
		for _, errs := range r.closed {
			err = errs[0]
		}
		return len(r.closed) == 1
	})
	return err
}

// awaitMsgs waits for n messages and gives all there are.
func (r *recorder) awaitMsgs(n int) (msgs [][]byte) {
	r.t.Helper()
	r.await(fmt.Sprintf("%d messages", n), func() bool {
		msgs = r.msgs[:len(r.msgs):len(r.msgs)]
		return len(r.msgs) >= n
	})
	return msgs
}

func msgOf(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// link2 opens a listener and one connection to it.
func link2(t *testing.T, b bench, server, client Handler) (Listener, Conn) {
	t.Helper()
	ln, err := b.t.Listen(b.network, b.addr(t), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	c, err := b.t.Dial(testContext(t), b.network, ln.Addr(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return ln, c
}
