package lockspace

import "github.com/lockify-dlm/lockify/wire"

// LockInfo describes a lock for people.
type LockInfo struct {
	ID      uint64 `json:"id"`
	Node    uint16 `json:"node"`            // the owner's
	Owner   uint64 `json:"owner,omitempty"` // who waits as a whole, unique at Node; 0: nobody
	Granted string `json:"granted"`
	Wanted  string `json:"wanted,omitempty"`
	Token   uint64 `json:"token,omitempty"`
}

// ResourceInfo describes a resource as one node sees it. The queues are
// complete on the master; elsewhere they hold this node's locks only.
type ResourceInfo struct {
	Name      []byte     `json:"name"`
	Role      string     `json:"role"`   // unused, lookup, remote, master, claimed, adopting
	Master    uint16     `json:"master"` // node id, 0: not known here
	Directory uint16     `json:"directory"`
	Entry     uint16     `json:"entry,omitempty"` // master according to this node's directory entry
	Granted   []LockInfo `json:"granted,omitempty"`
	Convert   []LockInfo `json:"convert,omitempty"`
	Waiting   []LockInfo `json:"waiting,omitempty"`
	Value     []byte     `json:"value,omitempty"`
	ValueSeq  uint64     `json:"value_seq,omitempty"`
}

// Inspect calls f for each resource until f returns false. The shard must not
// be entered meanwhile.
func (s *Shard) Inspect(f func(ResourceInfo) bool) {
	for _, slot := range s.names.slots {
		if slot.r != nil && !f(s.info(slot.r)) {
			return
		}
	}
}

func (s *Shard) info(r *resource) ResourceInfo {
	i := ResourceInfo{
		Name: append([]byte(nil), r.name()...), Role: r.state.String(),
		Directory: s.dirOf(r), Entry: r.dirLife.Node(),
		Granted: list(&r.granted), Convert: list(&r.convert), Waiting: list(&r.waiting),
	}
	if r.state != unused && r.state != lookup {
		i.Master = r.life.Node()
	}
	if r.valueOK {
		i.Value, i.ValueSeq = append([]byte(nil), r.value...), r.valueSeq
	}
	return i
}

// Own calls f for each lock of this node. The shard must not be entered
// meanwhile.
func (s *Shard) Own(f func(user any, id uint64)) {
	for _, l := range s.locks.slots {
		for ; l != nil; l = l.hashNext {
			if s.local(l) {
				f(l.user, l.id)
			}
		}
	}
}

func list(q *queue) []LockInfo {
	var out []LockInfo
	for l := q.head; l != nil; l = l.next {
		i := LockInfo{ID: l.id, Node: wire.NodeOf(l.owner), Owner: l.xid, Granted: l.granted.String(), Token: l.token}
		if l.wanted != NoMode {
			i.Wanted = l.wanted.String()
		}
		out = append(out, i)
	}
	return out
}
