package admin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
)

// Why is the answer to /v1/why: who has a name, who waits for it, and for whom those
// wait who are in the way. It is put together from what several nodes say one after the
// other, so it need not have been so at any one moment.
type Why struct {
	Lockspace Name        `json:"lockspace"`
	Names     []WhyName   `json:"names"`     // first the one that was asked about
	Unreached []Unreached `json:"unreached"` // nodes that have not said what they know
	More      bool        `json:"more"`      // the chain goes on
}

// Unreached is a node that was asked in vain.
type Unreached struct {
	Node  uint16 `json:"node"`
	Error string `json:"error"`
}

// WhyName is one name as its master has it.
type WhyName struct {
	Name      Name        `json:"name"`
	Master    uint16      `json:"master"`    // 0: none was found
	Role      string      `json:"role"`      // as in Resource
	Directory uint16      `json:"directory"` // 0: not known
	Totals    QueueTotals `json:"totals"`
	Locks     []WhyLock   `json:"locks"` // granted, convert, waiting, in the order of the queues, 100 of each
	Bytes     []WhyBytes  `json:"bytes"`
}

// QueueTotals counts all locks in the queues of a name.
type QueueTotals struct {
	Granted int `json:"granted"`
	Convert int `json:"convert"`
	Waiting int `json:"waiting"`
}

// WhyLock is a lock in one of the queues.
type WhyLock struct {
	Queue     string   `json:"queue"` // granted, convert, waiting
	ID        ID       `json:"id"`
	Node      uint16   `json:"node"`    // the owner's
	Session   uint64   `json:"session"` // of the client there, or of who has left the orphan; 0: a program in the node's process, or not known
	Client    string   `json:"client"`  // what the client calls itself
	Remote    string   `json:"remote"`  // where it connects from
	Owner     uint64   `json:"owner"`   // its own number for who waits as a whole; 0: none
	Known     bool     `json:"known"`   // the owner's node has said so
	Granted   string   `json:"granted"` // mode held, "--": none
	Wanted    string   `json:"wanted"`  // mode asked for, empty: none
	Token     uint64   `json:"token"`
	Orphan    bool     `json:"orphan"`     // its program has gone
	SinceS    *float64 `json:"since_s"`    // how long it has been as it is, in seconds; null: not known
	BlockedBy []LockID `json:"blocked_by"` // locks whose modes exclude the one wanted
	Ahead     int      `json:"ahead"`      // further requests that are served first
	WaitsFor  []Wait   `json:"waits_for"`  // of one that blocks: what whoever has it waits for
	Holds     []Hold   `json:"holds"`      // and what he holds besides, 20 of that
	Held      int      `json:"held"`       // all that he holds besides, in the lockspace
}

// LockID names a lock in the cluster.
type LockID struct {
	Node uint16 `json:"node"`
	ID   ID     `json:"id"`
}

// Wait is something that is waited for.
type Wait struct {
	Name   Name     `json:"name"`
	Wanted string   `json:"wanted"`
	Bytes  string   `json:"bytes,omitempty"`
	SinceS *float64 `json:"since_s"`
	Sure   bool     `json:"sure"` // by the same owner; else the same client, which may do several things
}

// Hold is a lock that somebody has besides.
type Hold struct {
	Name Name   `json:"name"`
	Mode string `json:"mode"`
	ID   ID     `json:"id"`
}

// WhyBytes is a byte range that is locked or waited for.
type WhyBytes struct {
	ByteRange
	Client    string   `json:"client"`
	BlockedBy []string `json:"blocked_by"` // ranges in the way, as people write them
}

const (
	whyQueue = 100             // locks of a queue that are described
	whyHolds = 20              // further locks of somebody
	whyNames = 16              // names of a chain
	whyTime  = 5 * time.Second // for the answer of a node
)

// asker is a node that can ask others.
type asker interface {
	ID() uint16
	Others() []uint16
	Look(ctx context.Context, id uint16, q *node.Query) (*node.Report, error)
}

// why puts a Why together.
type why struct {
	node   asker
	space  string
	doc    Why
	mu     sync.Mutex // guards what follows, doc.Unreached, and answers while several nodes are asked
	failed map[uint16]bool
	open   bool // some node has the lockspace open
}

// why answers /v1/why.
func (s *Server) why(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	space, name := q.Get("lockspace"), q.Get("name")
	for key := range q {
		if key != "lockspace" && key != "name" {
			fail(w, http.StatusBadRequest, fmt.Sprintf("parameter %q; there are lockspace and name", key))
			return
		}
	}
	if space == "" || name == "" {
		fail(w, http.StatusBadRequest, "parameters lockspace and name are needed")
		return
	}
	n := s.node()
	if !s.member(w, n) {
		return
	}
	y := explain(r.Context(), n, space, name)
	if !y.open && len(y.doc.Unreached) == 0 {
		s.notOpen(w, space, "any node")
		return
	}
	writeJSON(w, http.StatusOK, &y.doc)
}

// Why asks for /v1/why.
func (c *Client) Why(ctx context.Context, lockspace, name string) (*Why, error) {
	return document[Why](ctx, c, "/v1/why?"+url.Values{"lockspace": {lockspace}, "name": {name}}.Encode())
}

func newWhy(n asker, space string) *why {
	return &why{
		node: n, space: space, failed: map[uint16]bool{},
		doc: Why{Lockspace: Name(space), Names: []WhyName{}, Unreached: []Unreached{}},
	}
}

func explain(ctx context.Context, n asker, space, name string) *why {
	w := newWhy(n, space)
	seen := map[string]bool{name: true}
	for todo := []string{name}; len(todo) > 0; todo = todo[1:] {
		if len(w.doc.Names) == whyNames {
			w.doc.More = true
			break
		}
		found := w.explain(ctx, todo[0])
		for i := range found.Locks {
			for _, wait := range found.Locks[i].WaitsFor {
				if next := string(wait.Name); !seen[next] {
					seen[next] = true
					todo = append(todo, next)
				}
			}
		}
		w.doc.Names = append(w.doc.Names, found)
	}
	slices.SortFunc(w.doc.Unreached, func(a, b Unreached) int { return cmp.Compare(a.Node, b.Node) })
	return w
}

// ask asks one node, and notes if it does not answer. A node that has not opened the
// lockspace knows nothing, which is an answer.
func (w *why) ask(ctx context.Context, id uint16, q *node.Query) *node.Report {
	w.mu.Lock()
	failed := w.failed[id]
	w.mu.Unlock()
	if failed {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, whyTime)
	defer cancel()
	q.Space = w.space
	r, err := w.node.Look(ctx, id, q)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.open = w.open || !r.Closed
		return r
	}
	if !w.failed[id] {
		w.failed[id] = true
		w.doc.Unreached = append(w.doc.Unreached, Unreached{Node: id, Error: err.Error()})
	}
	return nil
}

// each calls f for all ids at once, and waits.
func each(ids []uint16, f func(id uint16)) {
	var all sync.WaitGroup
	for _, id := range ids {
		all.Go(func() { f(id) })
	}
	all.Wait()
}

// find asks for a name: this node, whom it takes for the master or the directory node,
// and at last everybody. It gives the master's word or, if nobody says that he is,
// anybody's.
func (w *why) find(ctx context.Context, name string) (by uint16, best *node.Report) {
	q := func() *node.Query { return &node.Query{Kind: node.LookName, Name: []byte(name), Most: whyQueue} }
	asked := map[uint16]bool{}
	for todo := []uint16{w.node.ID()}; len(todo) > 0; todo = todo[1:] {
		id := todo[0]
		if id == 0 || asked[id] {
			continue
		}
		asked[id] = true
		r := w.ask(ctx, id, q())
		if r == nil || len(r.Resources) == 0 {
			continue
		}
		if by, best = id, r; isMaster(r) {
			return id, r
		}
		i := &r.Resources[0]
		todo = append(todo, i.Master, i.Entry, i.Directory)
	}
	var rest []uint16
	for _, id := range w.node.Others() {
		if !asked[id] {
			rest = append(rest, id)
		}
	}
	each(rest, func(id uint16) {
		r := w.ask(ctx, id, q())
		w.mu.Lock()
		defer w.mu.Unlock()
		if r != nil && len(r.Resources) > 0 && (best == nil || isMaster(r)) {
			by, best = id, r
		}
	})
	return by, best
}

func isMaster(r *node.Report) bool {
	role := r.Resources[0].Role
	return role == "master" || role == "claimed"
}

// explain describes one name.
func (w *why) explain(ctx context.Context, name string) WhyName {
	out := WhyName{Name: Name(name), Role: "unused", Locks: []WhyLock{}, Bytes: []WhyBytes{}}
	by, r := w.find(ctx, name)
	if r == nil {
		return out
	}
	i := &r.Resources[0]
	out.Role, out.Master, out.Directory = i.Role, i.Master, i.Directory
	if isMaster(r) {
		out.Master = by
	}
	out.Totals = QueueTotals{r.Queued[0], r.Queued[1], r.Queued[2]}
	out.Locks = append(append(whyLocks("granted", i.Granted), whyLocks("convert", i.Convert)...), whyLocks("waiting", i.Waiting)...)
	inTheWay := block(out.Locks)
	w.name(ctx, out.Locks)
	w.others(ctx, name, out.Locks, inTheWay)
	for _, b := range bytesOf(i.Bytes) {
		out.Bytes = append(out.Bytes, WhyBytes{ByteRange: b})
	}
	w.bytes(ctx, out.Bytes)
	return out
}

func whyLocks(queue string, list []lockspace.LockInfo) (out []WhyLock) {
	for _, l := range list {
		out = append(out, WhyLock{
			Queue: queue, ID: ID(l.ID), Node: l.Node, Session: cmp.Or(l.Session, l.Owner>>32), Owner: l.Owner & (1<<32 - 1),
			Granted: l.Granted, Wanted: l.Wanted, Token: l.Token, Orphan: l.Orphan,
			BlockedBy: []LockID{}, WaitsFor: []Wait{}, Holds: []Hold{},
		})
	}
	return out
}

// block finds who is in whose way: granted modes that exclude the wanted one, and how
// many requests are served before. It gives the indices of those in the way.
func block(locks []WhyLock) map[int]bool {
	inTheWay := map[int]bool{}
	for i := range locks {
		l := &locks[i]
		wanted, ok := lockspace.ParseMode(l.Wanted)
		if !ok {
			continue
		}
		for k := range locks {
			o := &locks[k]
			held, holds := lockspace.ParseMode(o.Granted)
			switch {
			case k == i:
			case holds && !lockspace.Compatible(held, wanted):
				l.BlockedBy = append(l.BlockedBy, LockID{o.Node, o.ID})
				inTheWay[k] = true
			case k < i && o.Wanted != "":
				l.Ahead++
				inTheWay[k] = true
			}
		}
	}
	return inTheWay
}

// name asks the locks' nodes who has them.
func (w *why) name(ctx context.Context, locks []WhyLock) {
	byNode := map[uint16][]uint64{}
	at := map[node.Party]int{} // by lock id and node
	for i := range locks {
		l := &locks[i]
		byNode[l.Node] = append(byNode[l.Node], uint64(l.ID))
		at[node.Party{Owner: uint64(l.ID), Session: uint64(l.Node)}] = i
	}
	each(keysOf(byNode), func(id uint16) {
		r := w.ask(ctx, id, &node.Query{Kind: node.LookLocks, Locks: byNode[id]})
		if r == nil {
			return
		}
		for i := range r.Locks {
			o := &r.Locks[i]
			k, asked := at[node.Party{Owner: o.ID, Session: uint64(id)}]
			if !asked {
				continue
			}
			l := &locks[k]
			l.Known, l.Client, l.Remote, l.SinceS, l.Orphan = true, o.Client, o.Remote, since(o), l.Orphan || o.Orphan
			l.Session = cmp.Or(l.Session, o.Session)
		}
	})
}

func keysOf[V any](m map[uint16]V) (ids []uint16) {
	for id := range m {
		ids = append(ids, id)
	}
	return ids
}

func since(l *node.LockReport) *float64 {
	if !l.Dated {
		return nil
	}
	return &l.SinceS
}

// others asks what those in the way wait for, and hold besides.
func (w *why) others(ctx context.Context, name string, locks []WhyLock, inTheWay map[int]bool) {
	byNode := map[uint16][]node.Party{}
	whose := map[uint16][]int{}
	for i := range inTheWay {
		l := &locks[i]
		p := node.Party{Owner: l.Session<<32 | l.Owner}
		if l.Owner == 0 {
			p = node.Party{Session: l.Session}
		}
		if p != (node.Party{}) && !l.Orphan {
			byNode[l.Node] = append(byNode[l.Node], p)
			whose[l.Node] = append(whose[l.Node], i)
		}
	}
	each(keysOf(byNode), func(id uint16) {
		r := w.ask(ctx, id, &node.Query{Kind: node.LookLocks, Parties: byNode[id], Most: whyHolds})
		if r == nil {
			return
		}
		for i := range min(len(r.Parties), len(whose[id])) {
			locks[whose[id][i]].takeParty(name, &r.Parties[i])
		}
	})
}

// takeParty takes what whoever has l, a lock on name, waits for and holds besides.
func (l *WhyLock) takeParty(name string, p *node.PartyReport) {
	for k := range p.Waits {
		if o := &p.Waits[k]; o.ID != uint64(l.ID) && (string(o.Name) != name || o.Bytes != "") {
			l.WaitsFor = append(l.WaitsFor, Wait{Name: o.Name, Wanted: o.Wanted, Bytes: o.Bytes, SinceS: since(o), Sure: p.Owner != 0})
		}
	}
	l.Held = p.Held
	for k := range p.Holds {
		o := &p.Holds[k]
		if o.ID == uint64(l.ID) {
			l.Held--
			continue
		}
		l.Holds = append(l.Holds, Hold{Name: o.Name, Mode: o.Granted, ID: ID(o.ID)})
	}
}

// bytes says whose byte ranges are in whose way.
func (w *why) bytes(ctx context.Context, all []WhyBytes) {
	parties := map[uint16][]node.Party{}
	for i := range all {
		b := &all[i]
		if p := (node.Party{Session: b.Session}); b.Session != 0 && !slices.Contains(parties[b.Node], p) {
			parties[b.Node] = append(parties[b.Node], p)
		}
		b.BlockedBy = []string{}
		for k := range all {
			if o := &all[k]; b.Waiting && !o.Waiting && (o.Node != b.Node || o.Session != b.Session || o.Owner != b.Owner) &&
				o.Start <= b.End && b.Start <= o.End && (o.Type == byterange.Write.String() || b.Type == byterange.Write.String()) {
				b.BlockedBy = append(b.BlockedBy, fmt.Sprintf("%s %v of node %d", o.Type, byterange.Range{Start: o.Start, End: o.End}, o.Node))
			}
		}
	}
	each(keysOf(parties), func(id uint16) {
		r := w.ask(ctx, id, &node.Query{Kind: node.LookLocks, Parties: parties[id], Most: 1})
		if r == nil {
			return
		}
		for _, p := range r.Parties {
			for i := range all {
				if b := &all[i]; b.Node == id && b.Session == p.Session {
					b.Client = p.Client
				}
			}
		}
	})
}
