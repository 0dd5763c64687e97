package agent

import (
	"strings"
	"testing"
)

// TestVoterFails: a voter whose store fails says so, and why the node is not let in.
func TestVoterFails(t *testing.T) {
	t.Parallel()
	n := newNetwork().node(t, 1, founder(t.TempDir()))
	if err := n.agent.Failure(); err != nil {
		t.Error(err)
	}
	if err := n.agent.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.agent.Join(1<<16|1, newEars()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.agent.Failed():
	case <-t.Context().Done():
	}
	if err := n.agent.Failure(); err == nil {
		t.Error("no failure")
	}
	if why := n.agent.Outside(); !strings.HasPrefix(why, "its own vote has failed: ") || !strings.HasSuffix(why, "; no answer yet") {
		t.Error(why)
	}
}
