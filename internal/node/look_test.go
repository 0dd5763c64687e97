package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/lockspace"
)

// linked waits until n may ask a peer.
func linked(t *testing.T, n *Node, id uint16) {
	t.Helper()
	await(t, func() bool { return n.peers.of(id).looks.Load() })
}

// pages collects the names of a lockspace on a node, page by page. between runs after each.
func pages(t *testing.T, by *Node, id uint16, most int, between func(page int)) map[string]int {
	t.Helper()
	seen := map[string]int{}
	q := Query{Kind: LookPage, Space: "space", Most: most}
	for page := 0; ; page++ {
		r, err := by.Look(t.Context(), id, &q)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Resources) > most {
			t.Fatalf("%d resources on a page of %d", len(r.Resources), most)
		}
		for _, i := range r.Resources {
			seen[string(i.Name)]++
		}
		if q.At = r.Next; q.At == 0 {
			return seen
		}
		between(page)
	}
}

// Each name that is there all the time comes once, whoever asks, while others come and go.
func TestLookPages(t *testing.T) {
	w := newWorld(t, 1, 2)
	s := w.open(1)
	for i := range 500 {
		hold(t, s, fmt.Sprintf("stays %d", i), lockspace.EX, 0)
	}
	linked(t, w.nodes[2], 1)
	for _, by := range []uint16{1, 2} {
		seen := pages(t, w.nodes[by], 1, 7, func(page int) {
			l, id := hold(t, s, fmt.Sprintf("goes %d %d", by, page), lockspace.EX, 0)
			s.Unlock(l, id, 0, nil, 9)
			hear(t, l)
		})
		for i := range 500 {
			if n := seen[fmt.Sprintf("stays %d", i)]; n != 1 {
				t.Fatalf("asked by node %d: name %d came %d times", by, i, n)
			}
		}
	}
}

// A node says which locks an owner has, and does not answer for others.
func TestLookLocks(t *testing.T) {
	w := newWorld(t, 1, 2, 3)
	for id := uint16(1); id <= 3; id++ {
		w.open(id)
	}
	s := w.open(2)
	l := make(listener, 10)
	id := s.Lock(l, []byte("held"), lockspace.PR, 0, 0, 7, 1)
	hear(t, l)
	hold(t, w.open(1), "wanted", lockspace.EX, 0)
	s.Lock(l, []byte("wanted"), lockspace.PR, 0, 0, 7, 2)
	party := Party{Owner: 7}
	linked(t, w.nodes[1], 2)
	await(t, func() bool {
		r, err := w.nodes[1].Look(t.Context(), 2, &Query{Kind: LookLocks, Space: "space", Locks: []uint64{id, 1 << 40}, Parties: []Party{party, {Owner: 8}}})
		if err != nil {
			t.Fatal(err)
		}
		p := r.Parties
		return len(r.Locks) == 1 && r.Locks[0].ID == id && r.Locks[0].Granted == "PR" && string(r.Locks[0].Name) == "held" &&
			p[0].Held == 1 && len(p[0].Holds) == 1 && len(p[0].Waits) == 1 && string(p[0].Waits[0].Name) == "wanted" &&
			p[1].Held == 0 && len(p[1].Waits) == 0
	})
}

// An answer of many pieces arrives whole.
func TestLookLongAnswer(t *testing.T) {
	w := newWorld(t, 1, 2)
	s := w.open(1)
	for i := range MaxPage {
		for range 16 {
			hold(t, s, fmt.Sprintf("%s %d", strings.Repeat("n", 50), i), lockspace.PR, 0)
		}
	}
	linked(t, w.nodes[2], 1)
	if seen := pages(t, w.nodes[2], 1, MaxPage, func(int) {}); len(seen) != MaxPage {
		t.Errorf("%d names", len(seen))
	}
}

func TestLookInVain(t *testing.T) {
	w := newWorld(t, 1, 3)
	w.olds = map[uint16]bool{2: true}
	w.start(2)
	w.view()
	w.open(1)
	linked(t, w.nodes[1], 3)
	for _, tc := range []struct {
		id   uint16
		q    Query
		want error
	}{
		{2, Query{Kind: LookName, Space: "space"}, ErrNoAnswer}, // too old
		{9, Query{Kind: LookName, Space: "space"}, ErrNoAnswer}, // nobody
		{3, Query{Kind: "riddle", Space: "space"}, ErrAnswer},
		{3, Query{Kind: LookPage, Space: "space", Most: MaxPage + 1}, ErrAnswer},
		{3, Query{Kind: LookPage, Space: "space", At: 1 << 60}, ErrAnswer},
		{3, Query{Kind: LookTop, Most: -1}, ErrAnswer},
		{1, Query{Kind: "riddle", Space: "space"}, ErrInvalid},
	} {
		if _, err := w.nodes[1].Look(t.Context(), tc.id, &tc.q); !errors.Is(err, tc.want) {
			t.Errorf("node %d, %+v: %v, want %v", tc.id, tc.q, err, tc.want)
		}
	}
	for _, id := range []uint16{1, 3} {
		if r, err := w.nodes[1].Look(t.Context(), id, &Query{Kind: LookName, Space: "other"}); err != nil || !r.Closed {
			t.Errorf("node %d, lockspace that is not open: %+v, %v", id, r, err)
		}
	}
	if n := len(w.nodes[1].looks.asked); n != 0 {
		t.Errorf("%d questions are still waited for", n)
	}
	w.nodes[1].looks.answered(3, 77, []byte("{}"), true) // nobody has asked
	w.nodes[1].onLook(3, []byte{lookQuestion})           // cut off
	w.nodes[1].onLook(3, []byte{lookQuestion, 1, 0, 0, 0, 0, 0, 0, 0, '{'})
}
