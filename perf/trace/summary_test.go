package trace

import (
	"fmt"
	"math"
	"testing"
)

func summary(t *testing.T, name string, nodes ...int) map[string]PhaseSummary {
	t.Helper()
	phases, err := Summarize(mustLoad(t, name), nodes...)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]PhaseSummary{}
	for _, p := range phases {
		byName[p.Phase] = p
	}
	return byName
}

// TestSummaryMatchesRecordings checks what was counted, independently, when
// the traces were recorded (the table of their README); two-node figures are
// those of node 2, which did the work.
func TestSummaryMatchesRecordings(t *testing.T) {
	seen := map[string]map[string]PhaseSummary{}
	for _, c := range []struct {
		trace, phase                                            string
		node, ops, newLocks, creations, converts, unlocks       int
		sent, received, lookups, lookupReplies, requests, basts int
	}{
		{"gfs2-1node", "mkdir", 1, 10, 20, 20, 0, 0, 0, 0, 0, 0, 20, 0},
		{"gfs2-1node", "create", 1, 200, 400, 400, 0, 0, 0, 0, 0, 0, 400, 0},
		{"gfs2-1node", "write", 1, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{"gfs2-1node", "stat", 1, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{"gfs2-1node", "read", 1, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{"gfs2-1node", "unlink", 1, 200, 0, 0, 600, 200, 0, 0, 0, 0, 0, 0},
		{"gfs2-2node", "mkdir", 2, 10, 20, 20, 0, 0, 9, 9, 9, 9, 20, 0},
		{"gfs2-2node", "create", 2, 200, 400, 400, 0, 0, 219, 219, 219, 219, 400, 0},
		{"gfs2-2node", "write", 2, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{"gfs2-2node", "stat", 2, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{"gfs2-2node", "unlink", 2, 200, 0, 0, 1010, 200, 610, 610, 0, 0, 0, 0},
		{"gfs2-2node", "shared_create", 2, 100, 200, 200, 73, 67, 315, 251, 87, 87, 200, 69},
		{"ocfs2-2node", "mkdir", 2, 10, 40, 40, 0, 0, 21, 18, 21, 18, 40, 0},
		{"ocfs2-2node", "create", 2, 200, 800, 800, 0, 0, 394, 393, 394, 393, 800, 0},
		{"ocfs2-2node", "write", 2, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		{"ocfs2-2node", "unlink", 2, 200, 1, 0, 611, 800, 1012, 813, 1, 1, 1, 0},
		{"ocfs2-2node", "create", 1, 100, 400, 400, 0, 0, 215, 214, 215, 214, 400, 0},
	} {
		key := fmt.Sprint(c.trace, c.node)
		if seen[key] == nil {
			seen[key] = summary(t, c.trace, c.node)
		}
		p := seen[key][c.phase]
		got := []int{p.Ops, p.NewLocks, p.Creations, p.Converts, p.Unlocks, p.SentAll(), p.ReceivedAll(),
			p.Sent[MsgLookup], p.Received[MsgLookupReply], p.Requests, p.Basts}
		want := []int{c.ops, c.newLocks, c.creations, c.converts, c.unlocks, c.sent, c.received,
			c.lookups, c.lookupReplies, c.requests, c.basts}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s %s of node %d: %v, want %v", c.trace, c.phase, c.node, got, want)
				break
			}
		}
	}
}

func TestSummaryJoinsNodes(t *testing.T) {
	p := summary(t, "gfs2-2node")["shared_create"]
	if len(p.Nodes) != 2 || p.Ops != 200 || p.NewLocks != 400 {
		t.Errorf("%+v", p)
	}
	// The stat of the other node's files: two new locks each at least, and
	// the owner gives up EX.
	stat := summary(t, "gfs2-2node")["n1_stat_n2files"]
	if perOp := float64(stat.Requests) / float64(stat.Ops); math.Abs(perOp-2) > 0.15 {
		t.Errorf("stat of the other node's file: %.2f requests, want 2", perOp)
	}
	stat = summary(t, "ocfs2-2node")["n1_stat_n2files"]
	if perOp := float64(stat.Requests) / float64(stat.Ops); math.Abs(perOp-3) > 0.2 {
		t.Errorf("ocfs2: stat of the other node's file: %.2f requests, want 3", perOp)
	}
}
