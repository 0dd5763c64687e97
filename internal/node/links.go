package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/yield"
	"github.com/lockify-dlm/lockify/wire"
)

// linkSide is the node as its links see it (engine.LinkHandler).
type linkSide Node

// OnFrame takes a frame of another node, on the goroutine that read it.
func (l *linkSide) OnFrame(id uint16, h *wire.Header, payload []byte) {
	n := (*Node)(l)
	if h.Kind == wire.KindLink {
		n.learnSpace(id, h, payload)
		return
	}
	if h.Kind == wire.KindLook {
		n.onLook(id, payload)
		return
	}
	space := (*n.byID.Load())[h.Lockspace]
	if space == nil {
		if n.fixed == nil {
			return // it was closed here
		}
		n.cfg.Logger.Error("frame for a lockspace that its sender has not announced", "peer", id, "lockspace", h.Lockspace)
		return
	}
	if space.refuses() == wire.Mismatch {
		return
	}
	d := dispatch{space: space, head: h, batch: &n.peers.of(id).batch}
	if err := d.run(payload); err != nil {
		n.cfg.Logger.Error("bad frame dropped", "peer", id, "lockspace", space.name, "err", err)
	}
	if h.Count > longFrame { // after a view many may have come
		yield.Now()
	}
}

// OnIdle: no complete frame is left to read from this peer.
func (l *linkSide) OnIdle(id uint16) { l.peers.of(id).batch.flush() }

// OnPeerUp: the link works. It may come before NewLinks has returned; no
// frame of the peer comes before it.
func (l *linkSide) OnPeerUp(id uint16, instance, features uint64) {
	<-l.linked
	l.peers.of(id).connected(features)
	l.cfg.Logger.Info("peer connected", "event", eventLinkUp, "peer", id, "instance", fmt.Sprintf("%#x", instance))
}

// OnPeerDown: the link does not work; it tries again by itself.
func (l *linkSide) OnPeerDown(id uint16, err error) {
	l.peers.of(id).connected(0)
	level := slog.LevelWarn
	if errors.Is(err, engine.ErrRemoved) {
		level = slog.LevelInfo // it has left, or was put out: that is said as such
	}
	l.cfg.Logger.Log(context.Background(), level, "peer disconnected", "event", eventLinkDown, "peer", id, "err", err)
	if errors.Is(err, engine.ErrOverrun) {
		l.overrun(l.peers.of(id), err)
	}
}

// overrunTime is how long the others have to take a node out of the view that does not
// acknowledge what it gets.
var overrunTime = 15 * time.Second

// overrun fences this node if a peer stays a member for which too much was queued. What was
// dropped nobody sends again, so the two would wait for each other for ever.
func (l *linkSide) overrun(p *peer, err error) {
	start := p.start.Load()
	time.AfterFunc(overrunTime, func() {
		if p.start.Load() == start && slices.Contains(l.peers.members(), p) {
			(*Node)(l).Fence(fmt.Errorf("%w: node %d is a member, but too much was queued for it: %w", ErrFenced, p.id, err))
		}
	})
}

// OnPeerReset: the peer has started anew. It gets in with the view that has its new
// start. With fixed membership nobody can agree on what it held, so it stays out.
func (l *linkSide) OnPeerReset(id uint16, was, is uint64) {
	l.peers.of(id).connected(0)
	if l.fixed == nil {
		l.cfg.Logger.Warn("peer has restarted and waits for a view", "peer", id, "instance", fmt.Sprintf("%#x", was), "now", fmt.Sprintf("%#x", is))
		return
	}
	l.cfg.Logger.Error("peer has restarted and is refused: with fixed membership the whole cluster must restart",
		"peer", id, "instance", fmt.Sprintf("%#x", was), "now", fmt.Sprintf("%#x", is))
}

// dispatch takes the messages of a frame to their shards. Usually all are for
// one shard; a peer with another number of shards mixes them.
type dispatch struct {
	space  *Space
	head   *wire.Header
	batch  *batch
	cur    *runner
	inside bool // cur is entered; else its messages are copied to its inbox
}

// serveEvery is how many messages of a long frame are taken before a look at what else the
// shard is wanted for.
const serveEvery = 32

func (d *dispatch) run(payload []byte) error {
	var m wire.Msg
	f := messages{payload: payload}
	from := 0 // of the messages that no shard has got yet
	for left := int(d.head.Count); left > 0; left-- {
		off := f.off
		hash, err := f.next(&m)
		if err != nil {
			d.end(payload[from:off])
			return err
		}
		if !m.Type.Named() {
			d.end(payload[from:off])
			d.toAll(payload[off:f.off])
			from = f.off
			continue
		}
		r := d.space.runnerOf(m.Name, hash)
		if r != d.cur {
			d.end(payload[from:off])
			from = off
			d.begin(r)
		}
		if d.inside {
			from = f.off
			f.tell(r.shard)
			d.inside = d.message(r, hash, &m, left)
		}
	}
	d.end(payload[from:f.off])
	if f.left() {
		return wire.ErrTrailing
	}
	return nil
}

// message has the shard do a message of the frame, of which left are left. false: somebody else
// is in the shard now.
func (d *dispatch) message(r *runner, hash uint64, m *wire.Msg, left int) bool {
	r.message(d.head.Instance, d.head, hash, m)
	if r.askers.Load() > 0 && !r.yield() {
		return false
	}
	if left%serveEvery == 0 && r.inbox.Load() != nil {
		r.serve()
	}
	return true
}

// toAll takes a message that is about no name to each shard.
func (d *dispatch) toAll(message []byte) {
	for _, r := range d.space.runners {
		d.begin(r)
		if d.inside {
			r.deliver(d.head.Instance, d.head, message)
		}
		d.end(message)
	}
}

func (d *dispatch) begin(r *runner) {
	d.cur = r
	if d.inside = r.enter(); d.inside {
		r.drain()
	}
}

func (d *dispatch) end(messages []byte) {
	switch {
	case d.cur == nil:
	case d.inside:
		d.cur.leave(d.batch)
	default:
		t := taskPool.Get().(*task)
		t.from, t.head = d.head.Instance, *d.head
		t.buf = append(t.buf[:0], messages...)
		d.cur.put(t, d.batch)
	}
	d.cur = nil
}

// announce tells peers of a lockspace, before any of its frames. That is for fixed
// membership; else who has it open is agreed.
func (n *Node) announce(s *Space, peers []*peer) {
	for _, p := range peers {
		m := wire.Msg{
			Type: wire.LinkSpace, Flags: uint32(s.props.Range), Num: uint32(s.props.ValueLen), Text: []byte(s.name),
		}
		h := wire.Header{
			Kind: wire.KindLink, Count: 1, Lockspace: s.id,
			Epoch: n.epoch.Load(), Instance: n.cfg.Instance,
		}
		n.links.Send(p.id, m.Append(engine.GetBuf()), h)
	}
}

// learnSpace makes a lockspace that another node has announced.
func (n *Node) learnSpace(id uint16, h *wire.Header, payload []byte) {
	var m wire.Msg
	if _, err := m.Decode(payload); err != nil || m.Type != wire.LinkSpace {
		n.cfg.Logger.Error("bad link message dropped", "peer", id, "type", m.Type, "err", err)
		return
	}
	if n.fixed == nil {
		n.cfg.Logger.Warn("peer announces a lockspace as with fixed membership, which this node has not", "peer", id)
		return
	}
	if _, err := n.Open(context.Background(), string(m.Text), propsOf(&m)); err != nil {
		n.cfg.Logger.Error("lockspace of a peer cannot be opened here", "peer", id, "lockspace", string(m.Text), "err", err)
		if space := (*n.byID.Load())[h.Lockspace]; space != nil && errors.Is(err, ErrMismatch) {
			space.barred.Store(uint32(wire.Mismatch)) // its frames would mean something else to us
		}
	}
}

// WatchPeer takes the reader's role of the connection to a peer for who waits for its answer, if
// that is free; nil: it is not.
func (n *Node) WatchPeer(peer uint16) *engine.LinkReader { return n.links.Watch(peer) }

func (n *Node) linksConfig() engine.LinksConfig {
	c := engine.LinksConfig{
		Transport: n.cfg.Links, Self: n.cfg.ID, Instance: n.cfg.Instance, Cluster: n.cfg.Cluster,
		Compress: n.cfg.Compress, Features: n.cfg.features(), Logger: n.cfg.Logger,
		Peers: enginePeers(n.cfg.Peers), Delay: n.peers.delay, Mail: n.cfg.Mail,
		Moving: n.fixed == nil,
	}
	if n.cfg.Secure != nil && address.Network(n.cfg.Listen) == "tcp" {
		c.PeerNode = peerNode
	}
	if n.cfg.Listen != "" {
		network, addr := address.Split(n.cfg.Listen)
		c.Network, c.Listen = network, []string{addr}
	}
	return c
}
