package node

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/wire"
)

// peer is what the node knows of another one. It stays when the node goes, and is
// there for each of its starts.
type peer struct {
	id     uint16
	start  atomic.Uint64 // the instance that is a member, 0: any
	delay  atomic.Int64  // ns, artificial
	claims atomic.Bool   // connected, and understands claims
	looks  atomic.Bool   // connected, and answers questions
	traces atomic.Bool   // connected, and makes spans
	batch  batch         // of the link's reading goroutine
}

// connected notes what the peer understands, 0: it is not connected.
func (p *peer) connected(features uint64) {
	p.claims.Store(features&wire.FeatureClaims != 0)
	p.looks.Store(features&wire.FeatureLook != 0)
	p.traces.Store(features&wire.FeatureTrace != 0)
}

// peerTable gives each node id that is met a small number, its slot, for good, so
// that runners can look without a lock.
type peerTable struct {
	slots  [1 << 16]atomic.Int32 // node id: slot, or -1
	list   atomic.Pointer[[]*peer]
	inView atomic.Pointer[[]*peer]
}

func (t *peerTable) init() {
	for i := range t.slots {
		t.slots[i].Store(-1)
	}
	t.list.Store(&[]*peer{})
	t.inView.Store(&[]*peer{})
}

// slot gives the number of a node that is or was a peer.
func (t *peerTable) slot(id uint16) int { return int(t.slots[id].Load()) }

func (t *peerTable) at(slot int) *peer { return (*t.list.Load())[slot] }

func (t *peerTable) of(id uint16) *peer { return t.at(t.slot(id)) }

// members gives the peers of the view. The list is not changed.
func (t *peerTable) members() []*peer { return *t.inView.Load() }

func (t *peerTable) delay(id uint16) time.Duration { return time.Duration(t.of(id).delay.Load()) }

// add gives slots to the peers that are new. Calls must not overlap.
func (t *peerTable) add(peers []Peer) {
	list := (*t.list.Load())[:len(*t.list.Load()):len(*t.list.Load())]
	for _, p := range peers {
		if slot := t.slot(p.ID); slot >= 0 {
			list[slot].delay.Store(int64(p.Delay))
			continue
		}
		n := &peer{id: p.ID}
		n.delay.Store(int64(p.Delay))
		list = append(list, n)
	}
	t.list.Store(&list)
	for i, p := range list {
		t.slots[p.id].Store(int32(i))
	}
}

// set makes peers the members of the view.
func (t *peerTable) set(peers []Peer) {
	t.add(peers)
	in := make([]*peer, len(peers))
	for i, p := range peers {
		in[i] = t.of(p.ID)
		in[i].start.Store(p.Instance)
	}
	t.inView.Store(&in)
}

func enginePeers(peers []Peer) []engine.Peer {
	list := make([]engine.Peer, len(peers))
	for i, p := range peers {
		_, addr := address.Split(p.Addr)
		list[i] = engine.Peer{ID: p.ID, Addr: addr, Instance: p.Instance}
	}
	return list
}

// isMember says whether a node is a member of the cluster beside this one.
func (n *Node) isMember(id uint16) bool {
	return slices.ContainsFunc(n.peers.members(), func(p *peer) bool { return p.id == id })
}
