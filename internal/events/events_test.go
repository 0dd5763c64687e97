package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func start() (*slog.Logger, *Ring, *bytes.Buffer) {
	var log bytes.Buffer
	ring := NewRing(8)
	return slog.New(NewHandler(ring, slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))), ring, &log
}

func TestEvents(t *testing.T) {
	log, ring, text := start()
	log.Info("quiet", "n", 1, "err", errors.New("bad"), "id", uint64(1)<<60, "for", time.Second)
	log.Debug("not an event")
	log.Debug("small event", "event", "small", "lockspace", "s")
	log.With("node", 3).WithGroup("g").Warn("loud", "k", true)
	list, missed, _ := ring.After(0, 10)
	if len(list) != 3 || missed != 0 {
		t.Fatalf("%+v, %d missed", list, missed)
	}
	want := []string{
		`1 log INFO quiet "" map[err:bad for:1s id:0x1000000000000000 n:1]`, `2 small DEBUG small event "s" map[]`, `3 log WARN loud "" map[g.k:true node:3]`,
	}
	for i, e := range list {
		if got := fmt.Sprintf("%d %s %s %s %q %v", e.Seq, e.Kind, e.Level, e.Message, e.Lockspace, e.Attrs); got != want[i] {
			t.Errorf("%s, want %s", got, want[i])
		}
	}
	if s := text.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "msg=loud node=3 g.k=true") {
		t.Errorf("log: %s", s)
	}
}

// A watcher is told how many events it has missed, and hears of further ones.
func TestRing(t *testing.T) {
	log, ring, _ := start()
	list, _, grown := ring.After(0, 10)
	if len(list) != 0 || grown == nil {
		t.Fatal(list)
	}
	for i := range 20 {
		log.Info("x", "i", i)
	}
	<-grown
	list, missed, grown := ring.After(3, 5)
	if len(list) != 5 || list[0].Seq != 13 || missed != 9 || grown != nil {
		t.Errorf("%+v, %d missed", list, missed)
	}
	if list, missed, _ = ring.After(17, 5); len(list) != 3 || missed != 0 || list[2].Seq != 20 || ring.Last() != 20 {
		t.Errorf("%+v, %d missed", list, missed)
	}
}

// A flood of one message is held back, others are not; the ring gets them all.
func TestFlood(t *testing.T) {
	_, ring, text := start()
	h := NewHandler(ring, slog.NewTextHandler(text, nil))
	now := time.Unix(1e9, 0)
	say := func(message string) {
		if err := h.Handle(context.Background(), slog.NewRecord(now, slog.LevelInfo, message, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		say("flood")
	}
	say("other")
	if n := strings.Count(text.String(), "flood"); n != logBurst || !strings.Contains(text.String(), "other") {
		t.Errorf("%d lines of the flood", n)
	}
	now = now.Add(time.Second)
	text.Reset()
	for range 1000 {
		say("flood")
	}
	if s := text.String(); strings.Count(s, "flood") != logRate || !strings.Contains(strings.SplitN(s, "\n", 2)[0], fmt.Sprint("suppressed=", 1000-logBurst)) {
		t.Errorf("a second later: %s", s)
	}
	if ring.Last() != 2001 {
		t.Errorf("%d events", ring.Last())
	}
	for i := range 3 * maxMessages {
		say(fmt.Sprint(i))
	}
	if n := len(h.limit.of); n > maxMessages {
		t.Errorf("%d messages are counted", n)
	}
}

// TestKinds: there are the kinds that package node says, and no others.
func TestKinds(t *testing.T) {
	text, err := os.ReadFile("../node/happen.go")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, m := range regexp.MustCompile(`(?m)^\tevent\w+ += "([a-z-]+)"$`).FindAllStringSubmatch(string(text), -1) {
		said = append(said, m[1])
	}
	if all := append(said, Log); !slices.Equal(all, Kinds) {
		t.Errorf("package node has %q, Kinds are %q", all, Kinds)
	}
}
