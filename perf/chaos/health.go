package chaos

import (
	"slices"
	"time"
)

// This file says from the faults which nodes could work when.

// health is a run's faults, as they came to pass.
type health struct {
	nodes  int
	regain int64 // ns until a node without its disk has a vote
	faults []fault
	edges  []int64 // the times at which faults begin or end, rising
}

func newHealth(nodes int, regain time.Duration, faults []fault) *health {
	h := &health{nodes: nodes, regain: int64(regain), faults: faults}
	for i := range faults {
		f := &faults[i]
		h.edges = append(h.edges, f.from, f.to)
		if f.kind == wipe {
			h.edges = append(h.edges, f.to+h.regain)
		}
	}
	slices.Sort(h.edges)
	return h
}

// well says that at time t nothing is done to a node, none of its links is cut, and it
// reaches a majority, over others or directly.
func (h *health) well(node int, t int64) bool {
	bad, cut, blank := map[int]bool{}, map[[2]int]bool{}, map[int]bool{}
	for i := range h.faults {
		f := &h.faults[i]
		if f.kind == wipe && t >= f.to && t < f.to+h.regain {
			blank[f.nodes[0]] = true
		}
		if t < f.from || t >= f.to {
			continue
		}
		for _, n := range f.nodes {
			bad[n] = bad[n] || f.down()
		}
		for _, l := range f.links {
			if l[0] == node || l[1] == node {
				return false
			}
			cut[l], cut[[2]int{l[1], l[0]}] = true, true
		}
	}
	if bad[node] {
		return false
	}
	reached := []int{node}
	for i := 0; i < len(reached); i++ {
		for n := 1; n <= h.nodes; n++ {
			if !bad[n] && !cut[[2]int{reached[i], n}] && !slices.Contains(reached, n) {
				reached = append(reached, n)
			}
		}
	}
	votes := len(slices.DeleteFunc(reached, func(n int) bool { return blank[n] }))
	return votes > h.nodes/2
}

// times gives when a node was well, up to end.
func (h *health) times(node int, end int64) (out []span) {
	edges := append([]int64{0}, h.edges...)
	for i, from := range edges {
		to := end
		if i+1 < len(edges) {
			to = min(to, edges[i+1])
		}
		switch {
		case from >= to || !h.well(node, from):
		case len(out) > 0 && out[len(out)-1].to == from:
			out[len(out)-1].to = to
		default:
			out = append(out, span{from, to})
		}
	}
	return out
}

// wellFrom says that a node was well from then to then, all the time.
func (h *health) wellFrom(node int, from, to int64) bool {
	if !h.well(node, from) || !h.well(node, to) {
		return false
	}
	for _, e := range h.edges {
		if e > from && e < to && !h.well(node, e) {
			return false
		}
	}
	return true
}

// killed says that a node was killed between from and to, or so little before that
// it can't have been heard.
func (h *health) killed(node int, from, to int64) bool {
	return slices.ContainsFunc(h.faults, func(f fault) bool {
		return (f.kind == kill || f.kind == wipe) && f.nodes[0] == node && f.from >= from-int64(lookEvery) && f.from <= to
	})
}

// losses gives the times at which values can have become not valid: from a fault's
// beginning until what came of it is over.
func (h *health) losses(after time.Duration) (out []span) {
	for i := range h.faults {
		out = append(out, span{h.faults[i].from, h.faults[i].to + int64(after)})
	}
	return out
}

// gap gives the longest time that a node was well and nothing was granted there.
func (h *health) gap(node int, grants []grant, end int64) time.Duration {
	longest := int64(0)
	for _, s := range h.times(node, end) {
		last := s.from
		for _, g := range grants {
			if g.node == node && g.at >= s.from && g.at <= s.to {
				longest, last = max(longest, g.at-last), max(last, g.at)
			}
		}
		longest = max(longest, s.to-last)
	}
	return time.Duration(longest)
}
