package admin

import (
	"slices"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// This file is the document that the page is drawn from, and that other documents do not
// have: histograms.

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
