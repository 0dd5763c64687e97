package lockify

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// closing starts nodes that let go of unused lockspaces as soon as they look.
func closing(t *testing.T, n int) []*Node {
	dir := t.TempDir()
	return joinedAs(t, n, func(c *Config) {
		c.CloseAfter = time.Millisecond
		c.Clients = []string{"unix://" + filepath.Join(dir, fmt.Sprint(c.ID))}
	})
}

// hasSpace says whether a node takes part in a lockspace.
func hasSpace(n *Node, name string) bool {
	for _, s := range n.Stats().Spaces {
		if s.Name == name {
			return true
		}
	}
	return false
}

// awaitClosed waits until a node has let go of a lockspace.
func awaitClosed(t *testing.T, n *Node, name string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); hasSpace(n, name); {
		if time.Now().After(end) {
			t.Fatalf("node %d still has lockspace %q open", n.n.ID(), name)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func openOn(t *testing.T, n *Node, name string, opts ...SpaceOption) *Lockspace {
	t.Helper()
	s, err := n.Open(t.Context(), name, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shut(t *testing.T, s *Lockspace) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestUnusedLockspace: a node lets go of a lockspace that nobody has open there. What others hold
// in it stays theirs, also when the node opens it again; and when all have let go of it, it can be
// made anew with other properties.
func TestUnusedLockspace(t *testing.T) {
	t.Parallel() // the nodes look once a second
	nodes := closing(t, 3)
	spaces := []*Lockspace{openOn(t, nodes[0], "space", ValueSize(8)), openOn(t, nodes[1], "space", ValueSize(8))}
	if err := spaces[0].Purge(t.Context(), 3, 0); err != nil {
		t.Errorf("purge at a member that has not the lockspace open: %v", err)
	}
	if err := spaces[0].Purge(t.Context(), 77, 0); !errors.Is(err, ErrNode) {
		t.Errorf("purge at no node: %v", err)
	}
	if _, err := nodes[2].Open(t.Context(), "space", ValueSize(16)); !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "it has values of 8 bytes") {
		t.Errorf("opened with other properties: %v", err)
	}
	var held []*Lock
	for i := range 20 { // some of them are mastered by the node that goes, or have it as directory node
		name := fmt.Sprint("held ", i)
		if _, err := spaces[0].Lock(t.Context(), name, NL); err != nil {
			t.Fatal(err)
		}
		l, err := spaces[1].Lock(t.Context(), name, EX)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
	}
	for range 2 {
		shut(t, spaces[0])
		awaitClosed(t, nodes[0], "space")
		spaces[0] = openOn(t, nodes[0], "space", ValueSize(8))
		for _, l := range held {
			select {
			case <-l.Lost():
				t.Fatalf("%s is not held any more", l.Name())
			default:
			}
			if _, err := spaces[0].TryLock(t.Context(), l.Name(), EX); !errors.Is(err, ErrWouldBlock) {
				t.Fatalf("%s is held by another node, locked: %v", l.Name(), err)
			}
		}
	}
	shut(t, spaces[0])
	shut(t, spaces[1])
	awaitClosed(t, nodes[0], "space")
	awaitClosed(t, nodes[1], "space")
	shut(t, openOn(t, nodes[2], "space", ValueSize(16)))
}

// TestUsedLockspace: a lockspace stays open as long as a program has it open, or has left an orphan.
func TestUsedLockspace(t *testing.T) {
	t.Parallel() // the nodes look once a second
	n := closing(t, 1)[0]
	closed := 0
	looked := func() { // the node has looked for unused lockspaces
		closed++
		name := fmt.Sprint("other ", closed)
		shut(t, openOn(t, n, name))
		awaitClosed(t, n, name)
	}
	c, err := Dial(t.Context(), n.ClientAddrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Open(t.Context(), "a client's")
	if err != nil {
		t.Fatal(err)
	}
	twice := openOn(t, n, "open twice")
	shut(t, openOn(t, n, "open twice"))
	orphans := openOn(t, n, "with orphans")
	if _, err := orphans.Lock(t.Context(), "orphan", EX, Persistent()); err != nil {
		t.Fatal(err)
	}
	shut(t, orphans)
	looked()
	for _, name := range []string{"a client's", "open twice", "with orphans"} {
		if !hasSpace(n, name) {
			t.Errorf("lockspace %q is closed", name)
		}
	}
	shut(t, s)
	awaitClosed(t, n, "a client's")
	if _, err := c.Open(t.Context(), "a client's"); err != nil {
		t.Fatal(err)
	}
	c.Close()
	awaitClosed(t, n, "a client's")
	shut(t, twice)
	awaitClosed(t, n, "open twice")
	orphans = openOn(t, n, "with orphans")
	if err := orphans.Purge(t.Context(), 1, 0); err != nil {
		t.Fatal(err)
	}
	shut(t, orphans)
	awaitClosed(t, n, "with orphans")
}

// TestOpenWhileClosing: nodes close and open a lockspace again and again, and no two hold a lock at the
// same time.
func TestOpenWhileClosing(t *testing.T) {
	t.Parallel() // the nodes look once a second
	nodes := closing(t, 3)
	var inside [4]atomic.Int32
	use := func(s *Lockspace, i int) error {
		k := i % len(inside)
		l, err := s.Lock(t.Context(), fmt.Sprint("name ", k), EX)
		if err != nil {
			return err
		}
		if n := inside[k].Add(1); n != 1 {
			t.Errorf("%d hold %s", n, l.Name())
		}
		inside[k].Add(-1)
		if err := l.Unlock(t.Context()); err != nil {
			return err
		}
		fresh, err := s.Lock(t.Context(), fmt.Sprint("new ", s.here.node.n.ID(), " ", i), EX, New())
		if err != nil {
			return err
		}
		return fresh.Unlock(t.Context())
	}
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() {
			for round := range 3 {
				s := openOn(t, n, "space")
				for i := range 200 {
					if err := use(s, round*200+i); err != nil {
						t.Error(err)
						return
					}
				}
				shut(t, s)
				awaitClosed(t, n, "space")
			}
		})
	}
	wg.Wait()
}

// TestServingLockspace: a node does not leave a lockspace in which it is the master of many locks of
// others.
func TestServingLockspace(t *testing.T) {
	t.Parallel() // the nodes look once a second
	const many = 10_001
	nodes := closing(t, 2)
	spaces := []*Lockspace{openOn(t, nodes[0], "space"), openOn(t, nodes[1], "space")}
	var locks [2][many]*Lock
	for n, s := range spaces { // so that node 1 masters all names
		done := make(chan error, many)
		for i := range many {
			locks[n][i] = s.LockAsync(fmt.Sprint(i), NL, func(_ *Lock, err error) { done <- err })
		}
		for range many {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	shut(t, spaces[0])
	shut(t, openOn(t, nodes[0], "looked at as well"))
	awaitClosed(t, nodes[0], "looked at as well")
	if !hasSpace(nodes[0], "space") {
		t.Fatal("the lockspace is closed")
	}
	if err := locks[1][0].Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitClosed(t, nodes[0], "space")
	for _, l := range locks[1][1:] {
		if err := l.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
