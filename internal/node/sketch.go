package node

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is what lockctl top shows of a node. Which names are asked for most is found by looking at one of about 32 requests for a new
// lock, drawn at random, and counting names with the space-saving algorithm (Metwally, Agrawal
// and El Abbadi, Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005): a
// name that makes up more than a 32nd of the requests of a shard is surely among its 32.

const (
	sketchNames  = 32
	sketchEvery  = 32                     // requests for each that is looked at, on average
	sketchWindow = int64(5 * time.Second) // counts go back for one to two of these
)

// sketch counts the names of a shard; it is used inside it. The zero value is ready.
type sketch struct {
	left      int // requests until the next one is looked at
	random    uint64
	cur, prev *sketchCounts
}

// sketchCounts is what one window has seen.
type sketchCounts struct {
	from  int64 // when it began, on the node's clock
	total uint64
	n     int
	names [sketchNames]sketchName
}

type sketchName struct {
	hash  uint64
	count uint64 // at least what was seen
	len   uint8
	name  [wire.MaxName]byte
}

// request notes a request for a name. Most calls only count, in the caller's place.
func (h *sketch) request(now int64, hash uint64, name []byte) {
	if h.left--; h.left <= 0 {
		h.look(now, hash, name)
	}
}

func (h *sketch) look(now int64, hash uint64, name []byte) {
	if h.cur == nil {
		h.random, h.cur, h.prev = hash|1, &sketchCounts{from: now}, &sketchCounts{from: now}
	}
	h.random ^= h.random << 13
	h.random ^= h.random >> 7
	h.random ^= h.random << 17
	h.left = 1 + int(h.random%(2*sketchEvery-1))
	if len(name) > wire.MaxName {
		return // it will be refused
	}
	if now-h.cur.from >= sketchWindow {
		h.cur, h.prev = h.prev, h.cur
		h.cur.from, h.cur.total, h.cur.n = now, 0, 0
	}
	h.cur.add(hash, name)
}

func (c *sketchCounts) add(hash uint64, name []byte) {
	c.total++
	least := 0
	for i := range c.n {
		e := &c.names[i]
		if e.hash == hash && bytes.Equal(e.name[:e.len], name) {
			e.count++
			return
		}
		if e.count < c.names[least].count {
			least = i
		}
	}
	if c.n < sketchNames {
		least = c.n
		c.names[least].count = 0
		c.n++
	}
	e := &c.names[least]
	e.hash, e.len = hash, uint8(len(name))
	e.count++
	copy(e.name[:], name)
}

// AskedName is a name and how often it is asked for.
type AskedName struct {
	Space string  `json:"space"`
	Name  []byte  `json:"name"`
	PerS  float64 `json:"per_s"` // requests a second, about
}

// read gives the rates of the names of a shard, and of all its requests.
func (h *sketch) read(now int64) (names []AskedName, perS float64) {
	if h.cur == nil {
		return nil, 0
	}
	seconds := max(time.Duration(now-h.prev.from).Seconds(), 1)
	rate := func(n uint64) float64 { return float64(n) * sketchEvery / seconds }
	counts := map[string]uint64{}
	for _, c := range []*sketchCounts{h.prev, h.cur} {
		for i := range c.n {
			counts[string(c.names[i].name[:c.names[i].len])] += c.names[i].count
		}
	}
	for name, n := range counts {
		names = append(names, AskedName{Name: []byte(name), PerS: rate(n)})
	}
	return names, rate(h.prev.total + h.cur.total)
}

// TopReport is what a node has to say for lockctl top.
type TopReport struct {
	Sessions   int         `json:"sessions"`
	Lockspaces int         `json:"lockspaces"`
	Names      int         `json:"names"`
	Locks      int         `json:"locks"`
	Waiting    int         `json:"waiting"` // requests of clients
	PerS       float64     `json:"per_s"`   // requests for new locks a second, about
	Hot        []AskedName `json:"hot,omitempty"`
	Waits      []TopWait   `json:"waits,omitempty"` // the longest first
	// Of the lockspace asked about, of names mastered here.
	Waited    []WaitedName `json:"waited,omitempty"`     // the most waited for first
	AllWaited int          `json:"all_waited,omitempty"` // those left out included
}

// TopWait is a request of a client that waits.
type TopWait struct {
	Space   string  `json:"space"`
	Name    []byte  `json:"name"`
	ID      uint64  `json:"id"`
	Wanted  string  `json:"wanted"`
	Session uint64  `json:"session"`
	Client  string  `json:"client"`
	SinceS  float64 `json:"since_s"`
}

// lookTop answers LookTop.
func (n *Node) lookTop(most int) *TopReport {
	st := n.Stats()
	out := &TopReport{Sessions: st.Sessions, Lockspaces: len(st.Spaces)}
	for i := range st.Spaces {
		for _, s := range st.Spaces[i].Shards {
			out.Names += s.Resources
			out.Locks += s.Locks
		}
	}
	for _, s := range n.Spaces() {
		for _, r := range s.runners {
			r.wait(func(r *runner) {
				names, perS := r.sketch.read(n.now())
				out.PerS += perS
				for i := range names {
					names[i].Space = s.name
				}
				out.Hot = append(out.Hot, names...)
			})
		}
	}
	slices.SortFunc(out.Hot, func(a, b AskedName) int { return cmp.Or(cmp.Compare(b.PerS, a.PerS), bytes.Compare(a.Name, b.Name)) })
	out.Hot = out.Hot[:min(most, len(out.Hot))]
	list, since, all := n.waits(0, most)
	out.Waiting = all
	for _, w := range list {
		if o, ok := w.look(); ok && o.Wanted != lockspace.NoMode {
			out.Waits = append(out.Waits, TopWait{
				Space: w.sp.space.name, Name: o.Name, ID: o.ID, Wanted: o.Wanted.String(),
				Session: w.sp.session.id, Client: w.sp.session.name, SinceS: since[w].Seconds(),
			})
		}
	}
	return out
}
