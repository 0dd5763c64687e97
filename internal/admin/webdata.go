package admin

import (
	"net/http"
	"slices"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// This file is the documents that the page is drawn from, and that other documents do not
// have: histograms, and the names that are most waited for.

// Times is the answer to /v1/times: how long things have taken since the node was started.
type Times struct {
	BoundsNS   []int64          `json:"bounds_ns"` // upper bounds of the buckets but for the last, which has none
	Lockspaces []LockspaceTimes `json:"lockspaces"`
}

// LockspaceTimes is the part of one lockspace in Times.
type LockspaceTimes struct {
	Name     Name             `json:"name"`
	Grants   map[string]Spent `json:"grants"` // by how they came, see lockify_lock_seconds in docs/metrics.md
	Claims   Spent            `json:"claims"` // that they were open
	Held     Spent            `json:"held"`   // that messages waited for the release fence
	Recovery Spent            `json:"recovery"`
	Pending  int              `json:"pending"` // operations of this node's programs under way
	Conflict uint64           `json:"conflicts"`
}

// Spent is a histogram.
type Spent struct {
	Counts []uint64 `json:"counts"` // by bucket; empty: nothing was counted
	Nanos  uint64   `json:"nanos"`  // added up
}

// Hot is the answer to /v1/hot: the names most waited for, of those that this node is
// master of.
type Hot struct {
	Node  uint16    `json:"node"`
	All   int       `json:"all"` // names for which somebody waits, those not listed included
	Names []HotName `json:"names"`
}

// HotName is one of them. Of its locks not more than hotLocks of each list are there.
type HotName struct {
	Name    Name      `json:"name"`
	Waits   int       `json:"waits"`  // all that wait
	Holds   int       `json:"holds"`  // all that hold it
	WaitS   float64   `json:"wait_s"` // for how long the first has waited
	Holders []HotLock `json:"holders"`
	Waiters []HotLock `json:"waiters"` // in order, conversions first
}

// HotLock is a lock in the way, or one that is waited for.
type HotLock struct {
	ID      ID      `json:"id"`
	Node    uint16  `json:"node"`    // the owner's
	Session uint64  `json:"session"` // with owner: the program there, 0: one in the node's process
	Owner   uint64  `json:"owner"`   // who waits as a whole; 0: nobody has said
	Granted string  `json:"granted"`
	Wanted  string  `json:"wanted"`
	AgeS    float64 `json:"age_s"` // as in Lock
}

const (
	hotNames = 20
	hotLocks = 16
)

func (s *Server) times() Times {
	st := s.node().Stats()
	out := Times{BoundsNS: []int64{}, Lockspaces: []LockspaceTimes{}}
	for i := range lockspace.Buckets {
		out.BoundsNS = append(out.BoundsNS, lockspace.BucketBound(i))
	}
	for i := range st.Spaces {
		out.Lockspaces = append(out.Lockspaces, timesOf(&st.Spaces[i]))
	}
	slices.SortFunc(out.Lockspaces, func(a, b LockspaceTimes) int { return slices.Compare(a.Name, b.Name) })
	return out
}

func timesOf(sp *node.SpaceStats) LockspaceTimes {
	t := LockspaceTimes{Name: Name(sp.Name), Grants: map[string]Spent{}, Conflict: sp.Conflicts}
	for way := range sp.Grants {
		t.Grants[lockspace.Way(way).String()] = spent(&sp.Grants[way])
	}
	var claims, held, recovery lockspace.Histogram
	for k := range sp.Shards {
		claims.Add(&sp.Shards[k].ClaimTimes)
		held.Add(&sp.Shards[k].HeldTimes)
		recovery.Add(&sp.Shards[k].Recoveries)
		t.Pending += sp.Shards[k].Pending
	}
	t.Claims, t.Held, t.Recovery = spent(&claims), spent(&held), spent(&recovery)
	return t
}

func spent(h *lockspace.Histogram) Spent {
	out := Spent{Counts: []uint64{}, Nanos: h.Nanos}
	if h.Total() > 0 {
		out.Counts = append(out.Counts, h.Counts[:]...)
	}
	return out
}

// hot answers /v1/hot.
func (s *Server) hot(w http.ResponseWriter, r *http.Request) {
	name, _, err := locksQuery(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	space := s.space(w, name)
	if space == nil {
		return
	}
	top, all, err := space.Hottest(r.Context(), hotNames)
	if err != nil {
		return // whoever asked has gone
	}
	now := s.node().Now()
	out := Hot{Node: s.node().ID(), All: all, Names: []HotName{}}
	for i := range top {
		t := &top[i]
		out.Names = append(out.Names, HotName{
			Name: t.Name, Waits: t.Waits, Holds: len(t.Granted) + len(t.Convert), WaitS: seconds(max(0, now-t.Since)),
			Holders: hotLocksOf(now, t.Granted, t.Convert), Waiters: hotLocksOf(now, t.Convert, t.Waiting),
		})
	}
	writeJSON(w, http.StatusOK, out)
}

func hotLocksOf(now int64, lists ...[]lockspace.LockInfo) []HotLock {
	out := []HotLock{}
	for _, list := range lists {
		for _, l := range list[:min(len(list), hotLocks-len(out))] {
			out = append(out, HotLock{
				ID: ID(l.ID), Node: l.Node, Session: l.Owner >> 32, Owner: l.Owner & (1<<32 - 1),
				Granted: l.Granted, Wanted: l.Wanted, AgeS: seconds(max(0, now-l.Since)),
			})
		}
	}
	return out
}
