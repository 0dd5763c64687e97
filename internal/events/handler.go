package events

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Of one message, so many get into the log at once, and so many each second from then on.
// The next one that does says how many have not.
const (
	logBurst = 50
	logRate  = 10
)

// maxMessages bounds the messages that are counted; they are constants of the program.
const maxMessages = 1024

// Handler puts records into a ring, and passes them on.
type Handler struct {
	ring  *Ring
	next  slog.Handler
	limit *limiter
	attrs []slog.Attr
	group string // prefix of keys
}

// NewHandler makes a handler that fills ring and passes records on to next.
func NewHandler(ring *Ring, next slog.Handler) *Handler {
	return &Handler{ring: ring, next: next, limit: &limiter{of: map[string]*bucket{}}}
}

// Enabled says yes: whether a record is an event stands in its attributes.
func (h *Handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle takes a record.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	h.keep(&r)
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	held, ok := h.limit.take(r.Message, r.Time)
	if !ok {
		return nil
	}
	if held > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64("suppressed", held))
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs is that of slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.next = h.next.WithAttrs(attrs)
	c.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		a.Key = h.group + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup is that of slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	c := *h
	c.next = h.next.WithGroup(name)
	c.group = h.group + name + "."
	return &c
}

// keep makes an event of a record, if it is one.
func (h *Handler) keep(r *slog.Record) {
	e := Event{Time: r.Time, Level: r.Level.String(), Message: r.Message}
	take := func(a slog.Attr) {
		switch v := plain(a.Value.Resolve()); {
		case a.Key == "event":
			e.Kind = fmt.Sprint(v)
		case a.Key == "lockspace":
			e.Lockspace = fmt.Sprint(v)
		case a.Key != "":
			if e.Attrs == nil {
				e.Attrs = map[string]any{}
			}
			e.Attrs[a.Key] = v
		}
	}
	if r.Level < slog.LevelInfo && !isEvent(r) {
		return
	}
	for _, a := range h.attrs {
		take(a)
	}
	r.Attrs(func(a slog.Attr) bool {
		a.Key = h.group + a.Key
		take(a)
		return true
	})
	if e.Kind == "" {
		e.Kind = Log
	}
	h.ring.add(e)
}

func isEvent(r *slog.Record) (yes bool) {
	r.Attrs(func(a slog.Attr) bool {
		yes = a.Key == "event"
		return !yes
	})
	return yes
}

// plain makes a value one of JSON's. Numbers that JSON's readers would round become text.
func plain(v slog.Value) any {
	const exact = 1 << 53
	switch v.Kind() {
	case slog.KindBool:
		return v.Bool()
	case slog.KindFloat64:
		return v.Float64()
	case slog.KindInt64:
		if n := v.Int64(); -exact < n && n < exact {
			return n
		}
	case slog.KindUint64:
		if n := v.Uint64(); n < exact {
			return n
		}
		return fmt.Sprintf("%#x", v.Uint64())
	}
	return v.String()
}

// limiter holds back floods of one message.
type limiter struct {
	mu sync.Mutex
	of map[string]*bucket
}

// bucket is what one message may still be said.
type bucket struct {
	left float64
	at   time.Time
	held uint64 // not said since the last one that was
}

// take says whether a message may be said now, and how many have not been since the
// last one that was.
func (l *limiter) take(message string, now time.Time) (held uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.of[message]
	if b == nil {
		if len(l.of) == maxMessages {
			clear(l.of)
		}
		b = &bucket{left: logBurst, at: now}
		l.of[message] = b
	}
	if d := now.Sub(b.at); d > 0 {
		b.left, b.at = min(logBurst, b.left+d.Seconds()*logRate), now
	}
	if b.left < 1 {
		b.held++
		return 0, false
	}
	held = b.held
	b.left--
	b.held = 0
	return held, true
}
