package chaos

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify"
)

// held is a lock that a worker has, and what it knows of it.
type held struct {
	w     *worker
	l     *lockify.Lock
	name  string
	id    uint32
	mode  lockify.Mode
	known int64 // when it was last known to be valid
	gone  bool
}

// lookEvery is how often a holder looks whether it still is one.
const lookEvery = 5 * time.Millisecond

// request is what a worker asks for.
type request struct {
	name  string
	mode  lockify.Mode
	claim bool   // New
	then  func() // called when the answer is there, before a claim's confirmation is
}

// take asks for a lock and notes what comes; nil: not granted. A claim counts from when
// it is confirmed.
func (w *worker) take(ctx context.Context, q request, opts ...lockify.Option) *held {
	ctx, cancel := context.WithTimeout(ctx, w.patience())
	defer cancel()
	if q.claim {
		opts = append(opts, lockify.New())
	}
	o := op{Kind: acquire, Name: q.name, Lane: w.lane, Node: w.node, Mode: q.mode, Call: w.hist.now()}
	l, err := w.space.Lock(ctx, q.name, q.mode, opts...)
	if q.then != nil {
		q.then()
	}
	if err != nil {
		w.failed(err)
		return nil
	}
	if q.claim {
		<-l.Confirmed() // or lost
		if lost(l) {    // then it has never been
			w.count.claimsLost.Add(1)
			return nil
		}
	}
	h := &held{w: w, l: l, name: q.name, mode: q.mode, known: o.Call}
	h.id, o.Token, o.Return = w.hist.newLock(), l.Token(), w.hist.now()
	o.Lock = h.id
	h.value(&o)
	w.hist.add(&o)
	w.count.locks.Add(1)
	h.look()
	return h
}

// value notes the value that has come with a grant.
func (h *held) value(o *op) {
	if h.w.lossy(h.name) {
		return
	}
	v, ok := h.l.Value()
	o.Read, o.Valid, o.Value = true, ok, strings.TrimRight(string(v), "\x00")
}

func lost(l *lockify.Lock) bool {
	select {
	case <-l.Lost():
		return true
	default:
		return false
	}
}

// look says whether the lock is still there.
func (h *held) look() bool {
	t := h.w.hist.now()
	if !h.gone && lost(h.l) {
		h.over(&op{Killed: true})
	}
	if h.gone {
		return false
	}
	h.known = t
	return true
}

// over notes that the lock was lost; o says what was under way.
func (h *held) over(o *op) {
	h.gone = true
	o.Kind, o.Name, o.Lock, o.Lane, o.Node = lose, h.name, h.id, h.w.lane, h.w.node
	o.From, o.Call, o.Return = h.mode, h.known, h.w.hist.now()
	h.w.hist.add(o)
}

// keep holds the lock for a while, false: it was lost meanwhile.
func (h *held) keep(ctx context.Context, d time.Duration) bool {
	for end := h.w.hist.now() + int64(d); h.w.hist.now() < end; {
		sleep(ctx, min(lookEvery, time.Duration(end-h.w.hist.now())))
		if !h.look() || ctx.Err() != nil {
			break
		}
	}
	return h.look()
}

// turn converts the lock, with a value if that is to be written, false: it is lost.
func (h *held) turn(ctx context.Context, mode lockify.Mode, value string, opts ...lockify.Option) bool {
	o := op{Kind: convert, Name: h.name, Lock: h.id, Lane: h.w.lane, Node: h.w.node, From: h.mode, Mode: mode, Call: h.w.hist.now()}
	switch {
	case value != "":
		opts = append(opts, lockify.WithValue([]byte(value)))
		o.Write, o.Value = true, value
	case mode > h.mode:
		opts = append(opts, lockify.ReadValue())
	}
	end := make(chan error, 1)
	h.l.ConvertAsync(mode, func(err error) { end <- err }, opts...)
	patience := time.After(h.w.patience())
	for {
		select {
		case err := <-end:
			return h.turned(&o, err)
		case <-time.After(lookEvery):
			if t := h.w.hist.now(); !lost(h.l) {
				h.known = t
			}
		case <-patience:
			h.l.Cancel()
		case <-ctx.Done():
			h.l.Cancel()
			ctx = context.WithoutCancel(ctx)
		}
	}
}

func (h *held) turned(o *op, err error) bool {
	o.Return = h.w.hist.now()
	switch {
	case err == nil:
		h.mode, o.Token = o.Mode, h.l.Token()
		if !o.Write && o.Mode > o.From {
			h.value(o)
		}
		h.w.hist.add(o)
		h.w.count.converts.Add(1)
		return h.look()
	case errors.Is(err, lockify.ErrLost):
		h.over(&op{Write: o.Write, Value: o.Value})
		return false
	}
	h.w.failed(err)
	return h.look()
}

// drop unlocks, with a value if that is to be written.
func (h *held) drop(value string) {
	if h.gone {
		return
	}
	o := op{Kind: release, Name: h.name, Lock: h.id, Lane: h.w.lane, Node: h.w.node, From: h.mode, Call: h.w.hist.now()}
	var opts []lockify.Option
	if value != "" {
		opts = append(opts, lockify.WithValue([]byte(value)))
		o.Write, o.Value = true, value
	}
	ctx, cancel := context.WithTimeout(context.Background(), unlockTime)
	defer cancel()
	switch err := h.l.Unlock(ctx, opts...); {
	case err == nil:
		o.Return = h.w.hist.now()
		h.w.hist.add(&o)
		h.gone = true
		h.w.count.unlocks.Add(1)
	default: // it is gone at any rate
		if !errors.Is(err, lockify.ErrLost) {
			h.w.failed(err)
		}
		h.over(&op{Write: o.Write, Value: o.Value})
	}
}

// unlockTime bounds an unlock: a daemon that is stopped does not answer.
const unlockTime = 30 * time.Second
