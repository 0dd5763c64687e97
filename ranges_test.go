package lockify

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
)

// keyWithDirectory gives a range key for RangeSeparator('/') whose directory
// is a given node of nodes 1 to n.
func keyWithDirectory(t testing.TB, directory uint16, n int) string {
	t.Helper()
	var ids []uint16
	for id := range n {
		ids = append(ids, uint16(id+1))
	}
	members, err := cluster.Static(ids...)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		key := fmt.Sprintf("dir-%d/", i)
		if members.Directory(lockspace.Hash([]byte(key))) == directory {
			return key
		}
	}
}

// sent counts the messages that all nodes have sent each other about one
// lockspace.
func sent(nodes []*Node, space string) (n uint64) {
	for _, node := range nodes {
		for _, sp := range node.Stats().Spaces {
			if sp.Name != space {
				continue
			}
			for _, k := range sp.Sent {
				n += k
			}
		}
	}
	return n
}

// testRanges: what is created in one's own range costs no message; others find
// it; ranges come and go.
func testRanges(t *testing.T, e *env) {
	a, b := e.open(t, 0, "ranges", RangeSeparator('/')), e.open(t, 1, "ranges", RangeSeparator('/'))
	key := keyWithDirectory(t, 2, 2)
	expect(t, "Delegate", a.Delegate(e.ctx, key), nil)
	expect(t, "Delegate of one's own", a.Delegate(e.ctx, key), nil)
	err := b.Delegate(e.ctx, key)
	expect(t, "Delegate of another's", err, ErrRangeTaken)
	if !strings.Contains(err.Error(), "node 1") {
		t.Errorf("error %q does not name the owner", err)
	}
	expect(t, "Return of another's", b.Return(e.ctx, key), ErrNoRange)

	before := sent(e.nodes, "ranges")
	var locks []*Lock
	for i := range 200 {
		l := e.must(t, a, fmt.Sprintf("%sfile-%d", key, i), EX, New())
		if !isClosed(l.Confirmed()) {
			t.Fatalf("%q was granted under a claim", l.Name())
		}
		locks = append(locks, l)
	}
	if n := sent(e.nodes, "ranges") - before; n != 0 {
		t.Errorf("%d messages for 200 creations", n)
	}
	_, err = b.TryLock(e.ctx, key+"file-7", PR)
	expect(t, "TryLock at the other node", err, ErrWouldBlock)
	for _, l := range locks {
		e.unlock(t, l)
	}
	e.unlock(t, e.must(t, b, key+"file-7", EX))

	kept := e.must(t, a, key+"kept", EX, New())
	expect(t, "Return", a.Return(e.ctx, key), nil)
	expect(t, "second Return", a.Return(e.ctx, key), ErrNoRange)
	_, err = b.TryLock(e.ctx, key+"kept", PR)
	expect(t, "TryLock after Return", err, ErrWouldBlock)
	expect(t, "Delegate to the directory node", b.Delegate(e.ctx, key), nil)
	expect(t, "Delegate of another's", a.Delegate(e.ctx, key), ErrRangeTaken)
	e.unlock(t, kept)
	expect(t, "Return", b.Return(e.ctx, key), nil)
}

// testRangeArguments: what no range operation may have is refused, with a
// message that says what.
func testRangeArguments(t *testing.T, e *env) {
	s := e.open(t, 0, "ranges", RangeSeparator('/'))
	for _, c := range []struct {
		says string
		err  error
	}{
		{"has no ranges", e.a.Delegate(e.ctx, "a/")},
		{"has no ranges", e.a.Return(e.ctx, "a/")},
		{"not a range key of lockspace \"ranges\" (last:/)", s.Delegate(e.ctx, "a")},
		{"not a range key", s.Delegate(e.ctx, "")},
		{"not a range key", s.Return(e.ctx, "a/b")},
		{"not a range key", s.Delegate(e.ctx, strings.Repeat("x", 63)+"/")},
	} {
		expect(t, c.says, c.err, ErrInvalid)
		if !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("error %q does not say %q", c.err, c.says)
		}
	}
	ended, cancel := context.WithCancel(e.ctx)
	cancel()
	expect(t, "Delegate without time", s.Delegate(ended, "a/"), context.Canceled)
	expect(t, "Close", s.Close(e.ctx), nil)
	expect(t, "Delegate of a closed lockspace", s.Delegate(e.ctx, "a/"), ErrClosed)
}

func TestParseRanges(t *testing.T) {
	if _, err := ParseRanges("last:/"); err != nil {
		t.Error(err)
	}
	_, err := ParseRanges("half")
	expect(t, "ParseRanges", err, ErrInvalid)
}
