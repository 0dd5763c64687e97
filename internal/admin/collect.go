package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file turns what the node says into the documents.

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (s *Server) status() Status {
	n := s.node()
	st := n.Stats()
	out := Status{
		Node: st.ID, Instance: ID(st.Instance), Cluster: s.cluster, NoMember: s.noMember(n), Epoch: st.Epoch,
		UptimeS: time.Since(s.started).Seconds(), Sessions: st.Sessions,
		Links: make([]Link, 0, len(st.Links)), Totals: allTotals(&st),
	}
	for id, p := range st.Links {
		out.Links = append(out.Links, linkOf(id, &p))
	}
	slices.SortFunc(out.Links, func(a, b Link) int { return cmp.Compare(a.Peer, b.Peer) })
	return out
}

// noMember says why a node is no member, "": it is one. What it knows of locks is then
// nothing that holds.
func (s *Server) noMember(n *node.Node) string {
	if why := n.Why(); why != nil {
		return why.Error()
	}
	if p := n.Membership(); p == nil || p.State() != nil {
		return ""
	}
	const text = "this node has not joined the cluster yet"
	if s.outside != nil {
		if why := s.outside(); why != "" {
			return text + ": " + why
		}
	}
	return text
}

// member refuses what only a member can answer, if n is none.
func (s *Server) member(w http.ResponseWriter, n *node.Node) bool {
	why := s.noMember(n)
	if why != "" {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("node %d is no member of the cluster, and cannot say: %s", n.ID(), why))
	}
	return why == ""
}

func linkOf(id uint16, p *engine.PeerStats) Link {
	state := "down"
	switch {
	case p.Failed:
		state = "failed"
	case p.Connected:
		state = "up"
	}
	return Link{
		Peer: id, State: state, Instance: ID(p.Instance), RTTUS: microseconds(p.RTT),
		QueuedBytes: p.Queued, Resent: p.Resent, Repeated: p.Repeated, Dropped: p.Dropped, Reconnects: p.Reconnects,
		FramesIn: p.FramesIn, FramesOut: p.FramesOut, BytesIn: p.BytesIn, BytesOut: p.BytesOut,
	}
}

func (s *Server) lockspaces() []Lockspace {
	st := s.node().Stats()
	out := make([]Lockspace, 0, len(st.Spaces))
	for i := range st.Spaces {
		sp := &st.Spaces[i]
		out = append(out, Lockspace{
			Name: Name(sp.Name), ID: ID(sp.ID), ValueSize: sp.ValueLen, Shards: len(sp.Shards),
			Epoch: sp.Epoch, Waiting: recovering(sp.Shards), Totals: totals(sp.Shards),
		})
	}
	slices.SortFunc(out, func(a, b Lockspace) int { return bytes.Compare(a.Name, b.Name) })
	return out
}

func recovering(shards []lockspace.Stats) (n int) {
	for i := range shards {
		if shards[i].Recovering {
			n++
		}
	}
	return n
}

func (s *Server) counters() Counters {
	st := s.node().Stats()
	out := Counters{
		Node: st.ID, Instance: ID(st.Instance), Totals: allTotals(&st),
		Lockspaces: make([]LockspaceCounters, 0, len(st.Spaces)),
	}
	var sent, received [256]uint64
	for i := range st.Spaces {
		sp := &st.Spaces[i]
		for t := range sent {
			sent[t] += sp.Sent[t]
			received[t] += sp.Received[t]
		}
		out.Lockspaces = append(out.Lockspaces, LockspaceCounters{
			Name: Name(sp.Name), Sent: byType(&sp.Sent), Received: byType(&sp.Received), Totals: totals(sp.Shards),
		})
	}
	out.Sent, out.Received = byType(&sent), byType(&received)
	slices.SortFunc(out.Lockspaces, func(a, b LockspaceCounters) int { return bytes.Compare(a.Name, b.Name) })
	return out
}

func byType(counts *[256]uint64) map[string]uint64 {
	m := map[string]uint64{}
	for t, n := range counts {
		if n != 0 {
			m[wire.Type(t).String()] = n
		}
	}
	return m
}

func allTotals(st *node.Stats) Totals {
	var shards []lockspace.Stats
	for i := range st.Spaces {
		shards = append(shards, st.Spaces[i].Shards...)
	}
	t := totals(shards)
	t.Lockspaces = len(st.Spaces)
	return t
}

func totals(shards []lockspace.Stats) Totals {
	var t Totals
	for i := range shards {
		s := &shards[i]
		t.Resources += s.Resources
		t.Locks += s.Locks
		t.Claims.Open += s.ClaimsOpen
		t.Claims.Made += s.ClaimsMade
		t.Claims.Confirmed += s.ClaimsConfirmed
		t.Claims.Adopted += s.ClaimsAdopted
		t.Claims.Lost += s.ClaimsLost
		t.Claims.Refused += s.ClaimsRefused
		t.Claims.OpenUS += microseconds(time.Duration(s.ClaimTimes.Nanos))
		t.LocksLost += s.LocksLost
		t.NotifyResent += s.NotifyResent
		t.Ignored += s.Ignored
		t.Held.Now += s.HeldNow
		t.Held.Total += s.HeldTotal
		t.Held.US += microseconds(time.Duration(s.HeldTimes.Nanos))
	}
	return t
}

// resources copies at most limit resources of a lockspace, by name, and says
// whether there are more.
func resources(ctx context.Context, sp *node.Space, limit int) (all []lockspace.ResourceInfo, truncated bool, err error) {
	err = sp.Inspect(ctx, func(i lockspace.ResourceInfo) bool {
		if len(all) == limit {
			truncated = true
			return false
		}
		all = append(all, i)
		return true
	})
	slices.SortFunc(all, func(a, b lockspace.ResourceInfo) int { return bytes.Compare(a.Name, b.Name) })
	return all, truncated, err
}

func ranges(sp *node.Space) []Range {
	infos := sp.Ranges()
	out := make([]Range, 0, len(infos))
	for _, i := range infos {
		out = append(out, Range{Key: i.Key, State: i.State, Owner: i.Owner, Directory: i.Directory, Generation: i.Generation})
	}
	return out
}

// resourceOf leaves the value out unless values says that whoever asks may see it.
func resourceOf(now int64, i *lockspace.ResourceInfo, values bool) Resource {
	r := Resource{
		Name: i.Name, Role: i.Role, Master: i.Master, Directory: i.Directory, Entry: i.Entry,
		Granted: locksOf(now, i.Granted), Convert: locksOf(now, i.Convert), Waiting: locksOf(now, i.Waiting),
		More: i.More[0] + i.More[1] + i.More[2], Bytes: bytesOf(i.Bytes), ValueSeq: i.ValueSeq,
	}
	if values {
		r.ValueHex = hex.EncodeToString(i.Value)
	}
	return r
}

func locksOf(now int64, q []lockspace.LockInfo) []Lock {
	out := make([]Lock, 0, len(q))
	for _, l := range q {
		out = append(out, Lock{ID: ID(l.ID), Node: l.Node, Granted: l.Granted, Wanted: l.Wanted, Token: l.Token, AgeS: seconds(max(0, now-l.Since)), Orphan: l.Orphan, Session: l.Session})
	}
	return out
}

func bytesOf(list []lockspace.ByteInfo) []ByteRange {
	out := make([]ByteRange, 0, len(list))
	for _, b := range list {
		out = append(out, ByteRange{
			ID: ID(b.Lock), Node: b.Node, Session: b.Owner >> 32, Owner: b.Owner & (1<<32 - 1),
			Type: b.Type, Start: b.Start, End: b.End, Waiting: b.Waiting,
		})
	}
	return out
}
