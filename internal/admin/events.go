package admin

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/internal/events"
)

// EventLine is one line of the answer to /v1/events.
type EventLine struct {
	events.Event
	Missed uint64 `json:"missed,omitempty"` // not 0: so many events are not there any more, and this line is no event
}

// EventFilter says which events are wanted; empty: all.
type EventFilter struct {
	Kinds     []string
	Lockspace string
}

// Check finds kinds that no event is of.
func (f *EventFilter) Check() error {
	for _, k := range f.Kinds {
		if !slices.Contains(events.Kinds, k) {
			return fmt.Errorf("no kind %q; there are %s", k, strings.Join(events.Kinds, ", "))
		}
	}
	return nil
}

func (f *EventFilter) wants(e *events.Event) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) && (f.Lockspace == "" || e.Lockspace == f.Lockspace)
}

const (
	maxWatchers = 16               // at the same time; more are refused
	eventPage   = 256              // events that are copied at a time
	stillThere  = 10 * time.Second // between two lines, an empty one if nothing happens
)

// errQuery: a question that cannot be answered.
var errQuery = errors.New("admin")

// watchQuery is a question for events.
type watchQuery struct {
	EventFilter
	recent uint64
	follow bool
}

func parseWatch(q url.Values) (w watchQuery, err error) {
	for key := range q {
		switch v := q.Get(key); key {
		case "kinds":
			w.Kinds = strings.Split(v, ",")
			err = w.Check()
		case "lockspace":
			w.Lockspace = v
		case "recent":
			w.recent, err = strconv.ParseUint(v, 10, 32)
		case "follow":
			w.follow, err = strconv.ParseBool(v)
		default:
			err = errors.New("there are kinds, lockspace, recent and follow")
		}
		if err != nil {
			return w, fmt.Errorf("%w: parameter %s=%q: %w", errQuery, key, q.Get(key), err)
		}
	}
	return w, nil
}

// watch answers /v1/events: the last ones, and with follow all that come. A watcher goes
// at its own pace; what has gone when it comes round is counted as missed.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	q, err := parseWatch(r.URL.Query())
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error())
		return
	case s.events == nil:
		fail(w, http.StatusNotFound, "this node keeps no events")
		return
	}
	select {
	case s.watchers <- struct{}{}:
		defer func() { <-s.watchers }()
	default:
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("%d programs are watching already", maxWatchers))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := eventWriter{enc: json.NewEncoder(w), to: http.NewResponseController(w), w: w, silent: time.NewTimer(stillThere)}
	defer out.silent.Stop()
	last := s.events.Last()
	at := last - min(last, q.recent)
	for {
		list, missed, grown := s.events.After(at, eventPage)
		at += missed
		err := out.missed(missed)
		for i := range list {
			if at = list[i].Seq; err == nil && q.wants(&list[i]) {
				err = out.line(&EventLine{Event: list[i]})
			}
		}
		if err != nil || len(list) > 0 {
			if err != nil || !q.follow && at >= last {
				return
			}
			continue
		}
		if !q.follow || out.flush() != nil || !s.awaitEvents(r.Context(), &out, grown) {
			return
		}
	}
}

// awaitEvents waits for further events; false: there is nobody to tell any more.
func (s *Server) awaitEvents(ctx context.Context, out *eventWriter, grown <-chan struct{}) bool {
	for {
		select {
		case <-grown:
			return true
		case <-out.silent.C:
			if out.still() != nil {
				return false
			}
		case <-ctx.Done():
			return false
		case <-s.closing:
			return false
		}
	}
}

// eventWriter writes lines, each within a time.
type eventWriter struct {
	enc    *json.Encoder
	to     *http.ResponseController
	w      http.ResponseWriter
	silent *time.Timer // since the last line: events that are not wanted are none
}

// begin is called before each line.
func (o *eventWriter) begin() {
	o.silent.Reset(stillThere)
	// A connection that can't have a deadline has none.
	_ = o.to.SetWriteDeadline(time.Now().Add(answerTimeout))
}

func (o *eventWriter) line(l any) error {
	o.begin()
	return o.enc.Encode(l)
}

func (o *eventWriter) missed(n uint64) error {
	if n == 0 {
		return nil
	}
	return o.line(struct {
		Missed uint64 `json:"missed"`
	}{n})
}

func (o *eventWriter) flush() error { return o.to.Flush() }

// still shows that the daemon is there.
func (o *eventWriter) still() error {
	o.begin()
	if _, err := fmt.Fprintln(o.w); err != nil {
		return err
	}
	return o.flush()
}

// Events asks for /v1/events and calls f for each line, until f returns an error or the
// answer ends: the last recent ones, and, if follow is set, those that come. Errors:
// ErrRefused, that of f, those of the network; with follow ErrCutOff when the daemon ends.
func (c *Client) Events(ctx context.Context, filter EventFilter, recent int, follow bool, f func(*EventLine) error) error {
	q := url.Values{"recent": {strconv.Itoa(recent)}, "follow": {strconv.FormatBool(follow)}}
	if len(filter.Kinds) > 0 {
		q.Set("kinds", strings.Join(filter.Kinds, ","))
	}
	if filter.Lockspace != "" {
		q.Set("lockspace", filter.Lockspace)
	}
	body, err := c.get(ctx, "/v1/events?"+q.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		l := &EventLine{}
		if err := json.Unmarshal(lines.Bytes(), l); err != nil && lines.Err() != nil {
			break // in the middle of a line
		} else if err != nil {
			return fmt.Errorf("admin: event: %w", err)
		}
		if err := f(l); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong), err == nil && !follow:
		return err
	case err != nil: // killed, or cut off: one that ends in order ends its answer, too
		return cmp.Or(ctx.Err(), fmt.Errorf("%w: %w", ErrCutOff, err))
	}
	return cmp.Or(ctx.Err(), ErrCutOff)
}
