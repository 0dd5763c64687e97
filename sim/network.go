package sim

import (
	"math"
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// lane carries the messages of one node to another about one name, in order.
// Messages of different lanes overtake each other. A message without a name
// has a lane of its shard's, and stays behind all that its shard's node has
// sent to that node before.
type lane struct {
	pair    *pair
	name    *name // nil: for messages without one
	key     uint64
	packets []packet
	sent    uint64  // packets so far
	ready   int64   // when the last one comes out
	again   *packet // it comes once more, behind the next one
}

// pair is the link from one node to another. Cut, it loses nothing: what was
// under way arrives when the link is back, as with package engine.
type pair struct {
	from, to int     // node ids
	upAt     int64   // it is cut until then
	parked   []*lane // their first packets wait for that
	ready    int64   // when the last packet of all lanes comes out
	bare     []*lane
}

// packet is a message under way.
type packet struct {
	typ      wire.Type
	bytes    []byte   // encoded
	msg      wire.Msg // else: a copy
	instance uint64   // of the sender
	to       uint64   // instance that it is for
	epoch    uint64   // the sender's view
	clock    uint64
	ready    int64
	seq      uint64
	lost     bool // its sender has died
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// delay gives the time that packet number k of a lane takes. It follows from
// the seed and the lane alone, so that leaving out operations on other names
// changes nothing here.
func (r *run) delay(l *lane, k uint64) int64 {
	h := mix(l.key + k*0x9e3779b97f4a7c15)
	u := float64(h>>11+1) / (1 << 53)
	d := -math.Log(u) * float64(r.p.Delay)
	switch tail := h & 0x3ff; {
	case tail < uint64(r.p.Tail):
		d *= 300
	case tail < 4*uint64(r.p.Tail):
		d *= 20
	}
	// For a while some lanes are slow altogether.
	slow := r.p.Slow
	if l.name != nil && !l.name.root {
		slow += r.p.SlowNew
	}
	if window := uint64(r.now >> 24); slow > 0 && mix(l.key^window)%100 < uint64(slow) {
		d *= 100
	}
	return min(int64(d), maxDelay) + 1
}

// maxDelay bounds a message's way, so that no claim is open for longer than
// claimAge, which is what Config.Drift is made for here.
const (
	maxDelay = 300 * ms
	claimAge = 5e9 // ns
)

func (r *run) pair(from, to int) *pair { return &r.pairs[from*(len(r.nodes)+1)+to] }

// laneOf finds the lane of a message.
func (r *run) laneOf(from, to int, shard int, nm *name) *lane {
	p := r.pair(from, to)
	list, i := &p.bare, shard
	if nm != nil {
		list, i = &nm.lanes, from*(len(r.nodes)+1)+to
	}
	for len(*list) <= i {
		*list = append(*list, nil)
	}
	l := (*list)[i]
	if l == nil {
		l = &lane{pair: p, name: nm, key: mix(r.cfg.Seed ^ uint64(from)<<40 ^ uint64(to)<<48 ^ uint64(shard)<<56)}
		if nm != nil {
			l.key = mix(l.key ^ nm.hash)
		}
		(*list)[i] = l
	}
	return l
}

// post puts a message on its lane. m is copied.
func (r *run) post(n *node, shard int, to uint16, m *wire.Msg) {
	if to == 0 || int(to) > len(r.nodes) || to == n.id && m.Type.Named() {
		r.fail(inOnce, nil, "node %d sends %v about %q to node %d", n.id, m.Type, m.Name, to)
		return
	}
	var nm *name
	if m.Type.Named() {
		nm = r.nameOf(string(m.Name))
		if !asks(m.Type) {
			r.touch(nm) // a tick has no name of its own
		}
	}
	r.leased(n, nm, "sends")
	var dest uint64 // 0: nobody
	if v := n.views[shard]; v != nil {
		dest = v.Instance(to)
	}
	l := r.laneOf(int(n.id), int(to), shard, nm)
	r.seq++
	p := packet{
		typ: m.Type, instance: n.instance, to: dest, epoch: n.shards[shard].Epoch(), clock: n.clock(), seq: r.seq,
	}
	if r.wire {
		p.bytes = m.Append(r.buffer())
	} else {
		p.msg = *m
		for _, b := range parts(&p.msg) {
			*b = slices.Clone(*b)
		}
	}
	r.put(l, p)
	if a := l.again; a != nil && a.instance == n.instance {
		r.put(l, *a)
	}
	l.again = nil
	if m.Type == wire.RangeOp && mix(l.key+l.sent)%100 < uint64(r.p.Repeats) {
		again := p
		again.bytes = slices.Clone(p.bytes)
		for _, b := range parts(&again.msg) {
			*b = slices.Clone(*b)
		}
		l.again = &again
	}
	r.queues.sent(n, dest, nm, m)
	if (m.Type == wire.Denied || m.Type == wire.RangeDone) && m.Status == wire.Deadlock {
		r.circles.reported(m.Path, m.Type == wire.Denied && m.Mode != wire.NoMode)
	}
}

// put sends a packet behind those on its lane.
func (r *run) put(l *lane, p packet) {
	p.ready = max(l.ready, r.now+r.delay(l, l.sent))
	if l.name == nil {
		p.ready = max(p.ready, l.pair.ready)
	}
	l.ready, l.pair.ready = p.ready, max(l.pair.ready, p.ready)
	l.sent++
	l.packets = append(l.packets, p)
	if len(l.packets) == 1 {
		r.coming(l)
	}
}

func (r *run) buffer() []byte {
	if n := len(r.free); n > 0 {
		b := r.free[n-1]
		r.free = r.free[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 256)
}

// poison spoils what has carried a message: nothing of it may be kept.
func (r *run) poison(p *packet) {
	if p.bytes != nil {
		r.spoil(p.bytes)
		r.free = append(r.free, p.bytes)
		return
	}
	for _, b := range parts(&p.msg) {
		r.spoil(*b)
	}
}

// parts gives what a message points to.
func parts(m *wire.Msg) [7]*[]byte {
	return [7]*[]byte{
		&m.Name, &m.Value, &m.Text, (*[]byte)(&m.Locks), (*[]byte)(&m.Ranges), (*[]byte)(&m.Entries), (*[]byte)(&m.Path),
	}
}

// arrive hands over the first packet of a lane, or says that the link is cut.
func (r *run) arrive(l *lane) (delivered bool) {
	if l.pair.upAt > r.now {
		l.pair.parked = append(l.pair.parked, l)
		return false
	}
	if s := r.nodes[l.pair.to-1].seat; s != nil && s.stopped {
		s.parked = append(s.parked, l)
		return false
	}
	p := l.packets[0]
	l.packets[0] = packet{}
	l.packets = l.packets[1:]
	if len(l.packets) > 0 {
		r.coming(l)
	}
	dest := r.nodes[l.pair.to-1]
	r.oldFrame(dest, &p)
	if p.lost || dest.down || dest.instance != p.to || !dest.mayAct() {
		return false
	}
	m := &p.msg
	if r.wire {
		m = &r.msg
		if _, err := m.Decode(p.bytes); err != nil {
			r.fail(inOnce, l.name, "%v from node %d: %v", p.typ, l.pair.from, err)
			return true
		}
	}
	r.traceArrival(l, m)
	dest.deliver(l, &p, m)
	r.poison(&p)
	return true
}

func (p *packet) origin() lockspace.Origin {
	return lockspace.Origin{Instance: p.instance, Epoch: p.epoch, Clock: p.clock}
}

// asks says that a message only looks for deadlocks: what comes of it is another one, or
// the end of a request.
func asks(t wire.Type) bool { return t == wire.Probe || t == wire.Chase || t == wire.Verify }

// deliver enters the shard, or all shards, that a message is for.
func (n *node) deliver(l *lane, p *packet, m *wire.Msg) {
	n.r.mixIn(uint64(p.typ)<<32 | uint64(l.pair.from)<<16 | uint64(l.pair.to))
	closed := n.closed
	if l.name == nil {
		for _, s := range n.shards {
			s.Deliver(n.now(), p.origin(), 0, m)
		}
		if !asks(m.Type) {
			n.r.touchAll()
		}
		n.after(closed)
		return
	}
	s := n.shards[lockspace.ShardOf(l.name.route, len(n.shards))]
	n.r.before(n, l.name)
	ordinary := p.epoch == s.Epoch() && (m.Type != wire.Lookup || !s.Recovering())
	s.Deliver(n.now(), p.origin(), l.name.hash, m)
	n.r.afterDelivery(n, l.name, p.instance, m, ordinary)
	n.after(closed)
}

// busy says that messages are under way that can arrive.
func (r *run) busy() bool { return len(r.net.list) > 0 }

// forever is longer than any run.
const forever = int64(1 << 50)

// cut breaks the link from one node to another for a time; with both, the
// way back too.
func (r *run) cut(from, to int, ns int64, both bool) {
	p := r.pair(from, to)
	if p.upAt < r.now+ns {
		p.upAt = r.now + ns
		if ns != forever {
			r.timer0(timerLink, from*(len(r.nodes)+1)+to, ns)
		}
	}
	if both {
		r.cut(to, from, ns, false)
	}
}

// heal ends all cuts.
func (r *run) heal() {
	for i := range r.pairs {
		r.mend(&r.pairs[i])
	}
}

// mend ends a cut. What has waited arrives now, in the order in which it would
// have arrived.
func (r *run) mend(p *pair) {
	p.upAt = 0
	for _, l := range p.parked {
		r.coming(l)
	}
	p.parked = p.parked[:0]
}

// coming announces the first packet of a lane. Its time may have passed; it
// still tells which of those that are late comes first.
func (r *run) coming(l *lane) {
	first := &l.packets[0]
	r.net.push(event{at: first.ready, seq: first.seq, lane: l})
}
