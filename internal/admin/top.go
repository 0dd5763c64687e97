package admin

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/lockify-dlm/lockify/internal/node"
)

// Top is the answer to /v1/top: what goes on in the cluster now.
type Top struct {
	Cluster   string      `json:"cluster"`
	Node      uint16      `json:"node"`                // that has asked the others
	NoMember  string      `json:"no_member,omitempty"` // why that is no member, and knows no others
	Nodes     []TopNode   `json:"nodes"`
	Hot       []TopName   `json:"hot"`   // the names that are asked for most
	Waits     []TopWait   `json:"waits"` // the longest first, of clients
	Unreached []Unreached `json:"unreached"`
	Waited    *Waited     `json:"waited,omitempty"` // if a lockspace was asked about
}

// TopNode is a node.
type TopNode struct {
	Node       uint16  `json:"node"`
	Sessions   int     `json:"sessions"`
	Lockspaces int     `json:"lockspaces"`
	Names      int     `json:"names"`
	Locks      int     `json:"locks"`
	Waiting    int     `json:"waiting"` // requests of clients
	PerS       float64 `json:"per_s"`   // requests for new locks in a second, about, in the last 5 to 10 s
}

// TopName is a name that is asked for often.
type TopName struct {
	Lockspace Name    `json:"lockspace"`
	Name      Name    `json:"name"`
	PerS      float64 `json:"per_s"` // as in TopNode, of all nodes
}

// TopWait is a request that waits.
type TopWait struct {
	Lockspace Name     `json:"lockspace"`
	Name      Name     `json:"name"`
	Node      uint16   `json:"node"`
	ID        ID       `json:"id"`
	Wanted    string   `json:"wanted"`
	Session   uint64   `json:"session"`
	Client    string   `json:"client"`
	SinceS    float64  `json:"since_s"`
	Blocker   *Blocker `json:"blocker"` // null: nobody by now, or it was not looked for
}

// Blocker is the first lock in the way of a request.
type Blocker struct {
	Node    uint16 `json:"node"`
	ID      ID     `json:"id"`
	Session uint64 `json:"session"`
	Client  string `json:"client"`
	Mode    string `json:"mode"`
	Others  int    `json:"others"` // further locks in the way, and requests that are served first
}

const (
	topRows     = 20
	topBlockers = 5 // waits for which it is found out who is in the way
)

// top answers /v1/top.
func (s *Server) top(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for key := range q {
		if key != "lockspace" {
			fail(w, http.StatusBadRequest, fmt.Sprintf("parameter %q; there is lockspace", key))
			return
		}
	}
	writeJSON(w, http.StatusOK, s.topOf(r.Context(), s.node(), q.Get("lockspace")))
}

// Top asks for /v1/top.
func (c *Client) Top(ctx context.Context) (*Top, error) { return document[Top](ctx, c, "/v1/top") }

func (s *Server) topOf(ctx context.Context, n *node.Node, space string) *Top {
	out := &Top{Cluster: s.cluster, Node: n.ID(), NoMember: s.noMember(n), Nodes: []TopNode{}, Hot: []TopName{}, Waits: []TopWait{}}
	if space != "" {
		out.Waited = &Waited{Lockspace: Name(space), Names: []WaitedName{}}
	}
	w := newWhy(n, space)
	each(append(n.Others(), n.ID()), func(id uint16) {
		r := w.ask(ctx, id, &node.Query{Kind: node.LookTop, Most: topRows})
		if r == nil || r.Top == nil {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		out.add(id, r.Top)
		if out.Waited != nil {
			out.Waited.add(r.Top)
		}
	})
	slices.SortFunc(out.Nodes, func(a, b TopNode) int { return cmp.Compare(a.Node, b.Node) })
	slices.SortFunc(out.Hot, func(a, b TopName) int {
		return cmp.Or(cmp.Compare(b.PerS, a.PerS), bytes.Compare(a.Lockspace, b.Lockspace), bytes.Compare(a.Name, b.Name))
	})
	slices.SortFunc(out.Waits, func(a, b TopWait) int {
		return cmp.Or(cmp.Compare(b.SinceS, a.SinceS), cmp.Compare(a.Node, b.Node), cmp.Compare(a.ID, b.ID))
	})
	out.Hot, out.Waits = out.Hot[:min(topRows, len(out.Hot))], out.Waits[:min(topRows, len(out.Waits))]
	for i := range out.Waits[:min(topBlockers, len(out.Waits))] {
		w.blocker(ctx, &out.Waits[i])
	}
	if out.Waited != nil {
		out.Waited.explain(ctx, w)
	}
	out.Unreached = w.doc.Unreached
	slices.SortFunc(out.Unreached, func(a, b Unreached) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

// add adds what a node has said.
func (t *Top) add(id uint16, r *node.TopReport) {
	t.Nodes = append(t.Nodes, TopNode{id, r.Sessions, r.Lockspaces, r.Names, r.Locks, r.Waiting, r.PerS})
	for _, h := range r.Hot {
		i := slices.IndexFunc(t.Hot, func(o TopName) bool { return string(o.Lockspace) == h.Space && bytes.Equal(o.Name, h.Name) })
		if i < 0 {
			t.Hot = append(t.Hot, TopName{Lockspace: Name(h.Space), Name: h.Name, PerS: h.PerS})
			continue
		}
		t.Hot[i].PerS += h.PerS
	}
	for _, o := range r.Waits {
		t.Waits = append(t.Waits, TopWait{
			Lockspace: Name(o.Space), Name: o.Name, Node: id, ID: ID(o.ID), Wanted: o.Wanted,
			Session: o.Session, Client: o.Client, SinceS: o.SinceS,
		})
	}
}

// blocker finds who is in the way of a request.
func (w *why) blocker(ctx context.Context, t *TopWait) {
	w.space = string(t.Lockspace)
	_, r := w.find(ctx, string(t.Name))
	if r == nil {
		return
	}
	i := &r.Resources[0]
	locks := append(append(whyLocks("granted", i.Granted), whyLocks("convert", i.Convert)...), whyLocks("waiting", i.Waiting)...)
	block(locks)
	at := func(id LockID) int {
		return slices.IndexFunc(locks, func(l WhyLock) bool { return l.Node == id.Node && l.ID == id.ID })
	}
	own := at(LockID{t.Node, t.ID})
	if own < 0 || len(locks[own].BlockedBy) == 0 {
		return
	}
	first := locks[at(locks[own].BlockedBy[0])]
	one := []WhyLock{first}
	w.name(ctx, one)
	t.Blocker = &Blocker{
		Node: first.Node, ID: first.ID, Session: one[0].Session, Client: one[0].Client, Mode: first.Granted,
		Others: len(locks[own].BlockedBy) - 1 + locks[own].Ahead,
	}
}
