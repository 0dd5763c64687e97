package node

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/wire"
)

// stuckLog is a log in which a wrong claim gets stuck, until it goes on.
type stuckLog struct {
	goOn  chan struct{}
	lines chan string
}

func (l *stuckLog) Write(p []byte) (int, error) {
	switch line := string(p); {
	case strings.Contains(line, "wrong claim"):
		<-l.goOn
		l.lines <- line
	case strings.Contains(line, "dropped"):
		l.lines <- line
	}
	return len(p), nil
}

// TestStuckLog: a log that stands still does not keep a shard, and what waits for it has
// an end; of the rest it is said how much there was.
func TestStuckLog(t *testing.T) {
	const many = 3 * maxUnsaid
	l := &stuckLog{make(chan struct{}), make(chan string, many+1)}
	n := startLogged(t, l)
	s, err := n.Open(t.Context(), "test", Props{ValueLen: 32})
	if err != nil {
		t.Fatal(err)
	}
	s.runners[0].wait(func(r *runner) {
		for range many {
			r.Conflict([]byte("a"), wire.Life{})
		}
	})
	close(l.goOn)
	said := 0
	for said < many && !strings.Contains(<-l.lines, "dropped") {
		said++
	}
	if said > 2*maxUnsaid {
		t.Errorf("%d messages have waited", said)
	}
}

// asksLog is a log that asks the node when it is told that it is fenced.
type asksLog struct {
	node atomic.Pointer[Node]
	said chan error
}

func (l *asksLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), eventFenced) {
		l.said <- l.node.Load().Why()
	}
	return len(p), nil
}

// TestLogAsks: who is told that the node is fenced may ask why.
func TestLogAsks(t *testing.T) {
	l := &asksLog{said: make(chan error, 1)}
	n := startLogged(t, l)
	l.node.Store(n)
	go n.Fence(ErrFenced)
	select {
	case err := <-l.said:
		if !errors.Is(err, ErrFenced) {
			t.Errorf("fenced because of %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no answer")
	}
	<-n.Over()
}

// startLogged starts a node that is alone.
func startLogged(t *testing.T, log io.Writer) *Node {
	t.Helper()
	members, err := cluster.Static(1)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(t.Context(), Config{ID: 1, Transport: engine.NewMem(), Logger: slog.New(slog.NewTextHandler(log, nil))}, members)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close(t.Context()) })
	return n
}
