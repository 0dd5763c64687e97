package admin

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lockify-dlm/lockify/internal/events"
)

// timedLines notes when each line is written, and whether it is an empty one.
type timedLines struct {
	http.ResponseWriter
	from  time.Time
	lines []string
}

func (w *timedLines) Write(b []byte) (int, error) {
	kind := "event"
	if string(b) == "\n" {
		kind = "empty"
	}
	w.lines = append(w.lines, time.Since(w.from).String()+" "+kind)
	return len(b), nil
}

func (*timedLines) Flush() {}

// TestStillThere: a watcher gets a line in every stillThere, an empty one if nothing has
// come that he wants, whatever else happens meanwhile.
func TestStillThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := events.NewRing(64)
		log := slog.New(events.NewHandler(ring, slog.DiscardHandler))
		s := &Server{events: ring, watchers: make(chan struct{}, 1), closing: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/events?follow=true&kinds=deadlock", nil)
		w := &timedLines{ResponseWriter: httptest.NewRecorder(), from: time.Now()}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.watch(w, r)
		}()
		tick := time.NewTicker(stillThere / 10)
		for i := range 46 {
			<-tick.C
			kind := "view"
			if i+1 == 25 {
				kind = "deadlock"
			}
			log.Info("now", "event", kind)
		}
		cancel()
		<-done
		if text := strings.Join(w.lines, ", "); text != "10s empty, 20s empty, 25s event, 35s empty, 45s empty" {
			t.Errorf("lines at %s", text)
		}
	})
}
