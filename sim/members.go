package sim

import (
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file lets nodes die, come back as other instances, and be cut off until
// their lease has run out, and stands for the agreement on views: each node
// installs each view, none left out, when it likes. A view without a node is
// decided once that node holds nothing any more: at once if its process has
// died, and if it is only cut off, when its lease has surely run out.

// lease is the time, by its own clock, for which a node that is cut off may go
// on.
const lease = 8 * ms

// up says that the node runs, as a member or not.
func (n *node) up() bool { return !n.down }

// takesPart says that the node has installed a view.
func (n *node) takesPart() bool { return !n.down && n.shards[0].Epoch() != 0 }

// sees says that an instance is a member of the view that the node has installed.
func (n *node) sees(instance uint64) bool {
	return n.views[0] != nil && n.views[0].HasInstance(instance)
}

// lives says that an instance is running.
func (r *run) lives(instance uint64) bool {
	n := r.nodes[wire.NodeOf(instance)-1]
	return n.up() && n.instance == instance
}

// change is one random event of membership.
func (r *run) change() {
	up := 0
	for _, n := range r.nodes {
		if n.up() && n.fenceAt == 0 {
			up++
		}
	}
	n := r.nodes[r.fate.IntN(len(r.nodes))]
	if r.p.Masters && r.fate.IntN(2) == 0 {
		n = r.someMaster(n)
	}
	switch k := r.fate.IntN(8); {
	case n.down:
		r.tracef(nil, "node %d comes back", n.id)
		r.restart(n)
		r.decide()
	case k == 0:
		r.decide() // a view that changes nothing
	case up <= 2 || n.fenceAt != 0 || !n.takesPart():
	case k <= 4:
		r.stats.Crashes++
		r.tracef(nil, "node %d dies", n.id)
		r.die(n, r.fate.IntN(2) == 0)
		if r.fate.IntN(3) == 0 {
			r.restart(n) // so fast that no view was without it
			r.tracef(nil, "node %d comes back at once", n.id)
		}
		r.decide()
	default:
		r.isolate(n)
	}
}

// someMaster gives the node that masters one of the roots, or n.
func (r *run) someMaster(n *node) *node {
	nm := r.order[r.fate.IntN(r.p.Roots)]
	for _, m := range r.nodes {
		if m.takesPart() && m.shardOf(nm).State(&r.queues.before, nm.hash, nm.bytes) && masters(&r.queues.before) {
			return m
		}
	}
	return n
}

// isolate cuts a node off from all others until its lease has run out.
func (r *run) isolate(n *node) {
	r.stats.Isolated++
	r.tracef(nil, "node %d is cut off", n.id)
	for i := range r.nodes {
		if i+1 != int(n.id) {
			r.cut(int(n.id), i+1, forever, true)
		}
	}
	n.fenceAt = n.now() + lease
	r.timer0(timerFence, int(n.id)-1, r.realTime(n, lease))
}

// realTime gives the simulated time in which ns have surely passed on a node's
// clock.
func (r *run) realTime(n *node, ns int64) int64 { return ns*1_000_000/(1_000_000+n.drift) + 2 }

// leaseEnds fences a node that has been cut off. The others decide on a view
// without it when that must have happened, whatever its clock.
func (r *run) leaseEnds(n *node) bool {
	if n.fenceAt == 0 || n.now() < n.fenceAt {
		return false
	}
	r.tracef(nil, "the lease of node %d has run out", n.id)
	n.fenceAt = 0
	for _, s := range n.shards {
		s.Fence(n.now())
	}
	r.die(n, r.fate.IntN(2) == 0)
	r.decide()
	return true
}

// die ends a node. What is on its way to it is lost; what it has sent is not,
// unless lose says so.
func (r *run) die(n *node, lose bool) {
	n.down, n.fenceAt, n.due = true, 0, nil
	defer r.excl.died(n)
	for _, l := range n.live {
		if !l.gone {
			r.touch(l.name)
			l.crashed, l.gone, l.mode, l.wanted, l.open = true, true, lockspace.NoMode, lockspace.NoMode, false
		}
	}
	for _, k := range r.retires {
		if k.n == n && k.nm.retiring == k {
			r.unfree(k.nm)
		}
	}
	n.live, n.curious, n.hurry = nil, nil, nil
	for _, nm := range n.known[r.p.Roots:] {
		nm.knownBy &^= 1 << n.id
	}
	n.known = n.known[:r.p.Roots]
	if !lose {
		return
	}
	for to := range len(r.nodes) + 1 {
		for _, l := range r.pair(int(n.id), to).all(r) {
			for i := range l.packets {
				l.packets[i].lost = true
			}
		}
	}
}

// all gives the lanes of a link.
func (p *pair) all(r *run) (list []*lane) {
	for _, l := range p.bare {
		if l != nil {
			list = append(list, l)
		}
	}
	i := p.from*(len(r.nodes)+1) + p.to
	for _, nm := range r.order {
		if i < len(nm.lanes) && nm.lanes[i] != nil {
			list = append(list, nm.lanes[i])
		}
	}
	return list
}

// restart starts a node anew, as another instance; a view must let it in.
func (r *run) restart(n *node) {
	n.instance += 1 << 16
	n.down, n.lives = false, 0
	n.common = common{r: r, limit: n.limit}
	if err := n.start(nil); err != nil {
		r.fail(inPanic, nil, "node %d: %v", n.id, err)
	}
	for i := range r.nodes {
		if i+1 != int(n.id) && r.nodes[i].fenceAt == 0 && r.council == nil {
			r.mend(r.pair(int(n.id), i+1))
			r.mend(r.pair(i+1, int(n.id)))
		}
	}
}

// decide makes the next view, of all that are up.
func (r *run) decide() {
	var members []lockspace.Member
	for _, n := range r.nodes {
		if n.up() {
			members = append(members, lockspace.Member{ID: n.id, Instance: n.instance})
		}
	}
	v, err := lockspace.NewView(r.view.Epoch+1, members)
	if err != nil {
		r.fail(inPanic, nil, "view: %v", err)
		return
	}
	r.view = v
	r.excl.decided()
	r.stats.Views++
	r.tracef(nil, "view %d of %d nodes", v.Epoch, len(members))
	for i, n := range r.nodes {
		if n.up() {
			n.due = append(n.due, v)
			r.timer0(timerInstall, i, r.expo(r.fate, 2*ms))
		}
	}
}

// installNext installs the next view on a node, if it has one to install. One
// that is cut off hears of none.
func (r *run) installNext(n *node) bool {
	if len(n.due) == 0 || n.fenceAt != 0 || !n.mayAct() {
		return false
	}
	v := n.due[0]
	n.due = n.due[1:]
	if r.bug == bugSkipViews {
		for len(n.due) > 0 {
			v, n.due = n.due[0], n.due[1:]
		}
	}
	r.tracef(nil, "node %d installs view %d", n.id, v.Epoch)
	closed := n.closed
	for _, s := range n.shards { // all, before the node's token clock is that of the next view
		for s.Working() {
			s.Work(n.now(), 1)
		}
	}
	for k, s := range n.shards {
		n.views[k] = v
		s.Install(n.now(), v)
	}
	n.after(closed)
	for _, nm := range r.order {
		r.touch(nm)
	}
	return true
}

// workOn lets a node's shards do a piece of what a view has brought; after comes back
// to it.
func (r *run) workOn(n *node) bool {
	n.working = false
	if n.down || !n.mayAct() {
		return false
	}
	closed := n.closed
	for _, s := range n.shards {
		if s.Working() {
			s.Work(n.now(), 1+r.fate.IntN(4))
		}
	}
	n.after(closed)
	r.touchAll()
	return true
}

// workAll is workOn for all nodes, and says whether there was anything to do.
func (r *run) workAll() (any bool) {
	for _, n := range r.nodes {
		if !n.down && slices.ContainsFunc(n.shards, (*lockspace.Shard).Working) && r.workOn(n) {
			r.stepped()
			any = true
		}
	}
	return any
}

// settle ends what is going on with the membership.
func (r *run) settle() {
	if r.council != nil {
		r.council.settle()
		return
	}
	for _, n := range r.nodes {
		if n.fenceAt != 0 {
			r.now += max(0, r.realTime(n, n.fenceAt-n.now()))
			r.leaseEnds(n)
			r.stepped()
		}
	}
	for _, n := range r.nodes {
		for r.installNext(n) {
			r.stepped()
		}
	}
}
