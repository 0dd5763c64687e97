package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
)

// question is one to the cluster whether a node may open a lockspace.
type question struct {
	config string
	answer chan error
}

// asker is an opener whose answers the test gives. As with an agent, whoever asks may go
// before the answer comes.
type asker chan question

func (a asker) Open(ctx context.Context, _ string, config []byte) error {
	q := question{string(config), make(chan error, 1)}
	a <- q
	select {
	case err := <-q.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asksOf lets the test answer for the cluster of node 1.
func asksOf(w *world) (*Node, asker) {
	n, a := w.nodes[1], make(asker, 10)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.members = a
	return n, a
}

// opens lets programs open a lockspace at the same time, and gives their errors.
func opens(t *testing.T, n *Node, programs int, props Props) chan error {
	errs := make(chan error, programs)
	for range programs {
		go func() {
			_, err := n.Open(t.Context(), "other", props)
			errs <- err
		}()
	}
	return errs
}

func outcomeOf(t *testing.T, errs chan error) error {
	t.Helper()
	select {
	case err := <-errs:
		return err
	case <-time.After(30 * time.Second):
		t.Fatal("an Open that does not end")
		return nil
	}
}

// letIn installs the first view of the lockspace.
func letIn(t *testing.T, w *world, n *Node) {
	t.Helper()
	v, err := lockspace.NewView(1, []lockspace.Member{{ID: 1, Instance: n.Instance()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Install(w.peersOf(n), []SpaceView{{"other", v}}); err != nil {
		t.Fatal(err)
	}
}

// TestOpenAsksOnce: all programs that open a lockspace of which the node waits to be let in
// wait for one answer, also of a question whose asker has gone. So none of them can be told
// no, and take it away, while another one is let in.
func TestOpenAsksOnce(t *testing.T) {
	w := newWorld(t, 1)
	n, asks := asksOf(w)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Open(gone, "other", w.props); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	errs := opens(t, n, 5, w.props)
	q := <-asks
	q.answer <- nil
	letIn(t, w, n)
	for range 5 {
		if err := outcomeOf(t, errs); err != nil {
			t.Error(err)
		}
	}
	if len(asks) > 0 {
		t.Errorf("asked again for %x", (<-asks).config)
	}
}

// TestOpenRefused: who is refused hears why, and the lockspace can be opened otherwise after
// that. One of which it is not known whether the node is let in stays.
func TestOpenRefused(t *testing.T) {
	for _, c := range []struct {
		answer, want error
		stays        bool
	}{
		{cluster.ErrConfig, ErrMismatch, false},
		{fmt.Errorf("%w: 2048 commands wait", cluster.ErrLimit), ErrLimit, false},
		{errNotKnown, errNotKnown, true},
	} {
		w := newWorld(t, 1)
		n, asks := asksOf(w)
		errs := opens(t, n, 1, w.props)
		(<-asks).answer <- c.answer
		if err := <-errs; !errors.Is(err, c.want) {
			t.Errorf("%v: %v", c.answer, err)
		}
		if stays := n.Space("other") != nil; stays != c.stays {
			t.Errorf("%v: it stays: %v", c.answer, stays)
		}
		props := w.props
		if !c.stays {
			props.ValueLen++
		}
		errs = opens(t, n, 1, props)
		q := <-asks
		if q.config != string(props.config()) {
			t.Errorf("%v: asked for %x", c.answer, q.config)
		}
		q.answer <- nil
		letIn(t, w, n)
		if err := outcomeOf(t, errs); err != nil {
			t.Errorf("%v: then %v", c.answer, err)
		}
	}
}

var errNotKnown = errors.New("no answer")

// TestFullNode: who opens one lockspace too many is told what to do.
func TestFullNode(t *testing.T) {
	n := newWorld(t, 1).nodes[1]
	for i := len(n.Spaces()); i < maxSpaces; i++ {
		n.mu.Lock()
		_, err := n.openLocked(fmt.Sprint("space ", i), Props{})
		n.mu.Unlock()
		if err != nil {
			t.Fatalf("lockspace %d: %v", i, err)
		}
	}
	_, err := n.Open(t.Context(), "one more", Props{})
	if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "1024 lockspaces are in use on this node") {
		t.Errorf("the next one: %v", err)
	}
}
