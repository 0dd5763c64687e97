package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestMain makes the test binary the program when it has been started as a part.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "storage" || os.Args[1] == "writer") {
		main()
		return
	}
	os.Exit(daemontest.Main(m))
}

// The writes that count are told in this order, whatever the tokens are.
var want = regexp.MustCompile(`^A: locked \d+, and is stopped before it writes
B: locked \d+
B: written
A goes on
A: refused: fence: .*
A: the lock is lost
the storage has "from B"
$`)

// TestStory: the write of a holder that was stopped past its lock is refused, with both
// writers at different nodes of a cluster that agrees on its members.
func TestStory(t *testing.T) {
	c := daemontest.NewJoined(t, 2, 2*time.Second)
	var out bytes.Buffer
	if err := story(t.Context(), &out, c.Nodes[0].Client, c.Nodes[1].Client); err != nil {
		t.Fatalf("%v; so far:\n%s", err, &out)
	}
	if !want.MatchString(out.String()) {
		t.Errorf("told:\n%s\nwant:\n%s", &out, want)
	}
}

// TestPlay: so it goes for who runs it without a cluster.
func TestPlay(t *testing.T) {
	var out bytes.Buffer
	if err := play(t.Context(), &out); err != nil {
		t.Fatalf("%v; so far:\n%s", err, &out)
	}
	if !want.MatchString(out.String()) {
		t.Errorf("told:\n%s\nwant:\n%s", &out, want)
	}
}
