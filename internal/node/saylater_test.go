package node

import (
	"log/slog"
	"strings"
	"testing"

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
	members, err := cluster.Static(1)
	if err != nil {
		t.Fatal(err)
	}
	l := &stuckLog{make(chan struct{}), make(chan string, many+1)}
	n, err := Start(t.Context(), Config{ID: 1, Transport: engine.NewMem(), Logger: slog.New(slog.NewTextHandler(l, nil))}, members)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close(t.Context())
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
