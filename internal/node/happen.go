package node

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// What happens in a node is said to its logger with an attribute "event", by which
// package events of the daemon knows it. What happens inside a shard is said on another
// goroutine: a log may make its writer wait.

// The kinds of events; docs/operating.md has the table.
const (
	eventSessionBegin   = "session-begin"
	eventSessionEnd     = "session-end"
	eventLockspaceOpen  = "lockspace-open"
	eventLockspaceClose = "lockspace-close"
	eventMembers        = "members"
	eventJoined         = "joined"
	eventFenced         = "fenced"
	eventView           = "view"
	eventRecoveryBegin  = "recovery-begin"
	eventRecoveryEnd    = "recovery-end"
	eventLinkUp         = "link-up"
	eventLinkDown       = "link-down"
	eventClaimConflict  = "claim-conflict"
	eventDeadlock       = "deadlock"
	eventLocksLost      = "locks-lost"
	eventWaitLong       = "wait-long"
	eventWaitEnd        = "wait-end"
)

// watchEvery is how often the node looks for long waits and lost locks, in ticks.
const watchEvery = int(time.Second / tickTime)

// watch says what has come together since the last time.
func (n *Node) watch() {
	if !n.watching.TryLock() {
		return // the log is slow
	}
	defer n.watching.Unlock()
	for _, s := range n.Spaces() {
		if lost := s.lost.Swap(0); lost > 0 {
			n.cfg.Logger.Error("locks are lost", "event", eventLocksLost, "lockspace", s.name, "locks", lost)
		}
	}
	n.watchWaits()
	n.closeUnused(n.cfg.CloseAfter)
}

// membersChanged says who has come and gone.
func (n *Node) membersChanged(was []*peer, now []Peer) {
	var came, left []uint16
	for _, p := range now {
		if !slices.ContainsFunc(was, func(o *peer) bool { return o.id == p.ID }) {
			came = append(came, p.ID)
		}
	}
	for _, o := range was {
		if !slices.ContainsFunc(now, func(p Peer) bool { return p.ID == o.id }) {
			left = append(left, o.id)
		}
	}
	if came != nil || left != nil {
		n.cfg.Logger.Info("members of the cluster have changed", "event", eventMembers, "came", idsText(came), "left", idsText(left), "members", len(now)+1)
	}
}

func idsText(ids []uint16) string { return strings.Trim(fmt.Sprint(ids), "[]") }

// beginRecovery notes that a shard has work to do for a view, inside it.
func (r *runner) beginRecovery() {
	if r.recovers {
		return
	}
	r.recovers = true
	if r.space.recovering.Add(1) == 1 {
		r.space.recoversFrom.Store(r.node.now())
		r.node.recovers(1)
	}
}

// endRecovery notes that it is done. The last shard's end is that of the lockspace.
func (r *runner) endRecovery() {
	r.recovers = false
	if r.space.recovering.Add(-1) == 0 {
		took := r.node.now() - r.space.recoversFrom.Load()
		go r.space.recovered(time.Duration(took))
		r.node.recovers(-1)
	}
}

// recovers counts the lockspaces that recover, and tells who wants to know whether any does.
func (n *Node) recovers(change int32) {
	if now := n.recovering.Add(change); n.cfg.Recovers != nil && (now == 0 || now == 1 && change > 0) {
		go n.tellRecovers()
	}
}

func (n *Node) tellRecovers() {
	n.telling.Lock()
	defer n.telling.Unlock()
	if now := n.recovering.Load() > 0; now != n.told {
		n.told = now
		n.cfg.Recovers(now)
	}
}

// recovered says that a recovery has ended, to the next tick.
func (s *Space) recovered(took time.Duration) {
	st := s.Stats()
	names, locks := 0, 0
	for i := range st.Shards {
		names += st.Shards[i].Resources
		locks += st.Shards[i].Locks
	}
	s.node.cfg.Logger.Info("recovery has ended", "event", eventRecoveryEnd, "lockspace", s.name, "epoch", st.Epoch,
		"seconds", took.Round(tickTime).Seconds(), "names", names, "locks", locks)
}

// deadlock says that a request has ended because of a deadlock; inside the shard.
func (r *runner) deadlock(id uint64, path wire.Path) {
	var cycle []string
	for i := range path.Len() {
		e := path.At(i)
		cycle = append(cycle, fmt.Sprintf("%s: %s waits for %s", quoted(e.Name), partyText(&e.Waiter), partyText(&e.Blocker)))
	}
	r.node.sayLater(slog.LevelWarn, "deadlock: a request was ended", "event", eventDeadlock, "lockspace", r.space.name,
		"lock", fmt.Sprintf("%#x", id), "cycle", strings.Join(cycle, "; "))
}

func partyText(p *wire.Party) string {
	text := fmt.Sprintf("node %d", wire.NodeOf(p.Instance))
	if session := p.Owner >> 32; session != 0 {
		text += fmt.Sprintf(" session %d", session)
	}
	if owner := p.Owner & (1<<32 - 1); owner != 0 {
		text += fmt.Sprintf(" owner %d", owner)
	}
	return text
}

// quoted shows a name that may be any bytes.
func quoted(name []byte) string { return strings.Trim(fmt.Sprintf("%q", name), `"`) }
