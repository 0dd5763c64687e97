package lockspace

import (
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// LockInfo describes a lock for people.
type LockInfo struct {
	ID      uint64 `json:"id"`
	Node    uint16 `json:"node"`            // the owner's
	Owner   uint64 `json:"owner,omitempty"` // who waits as a whole, unique at Node; 0: nobody
	Granted string `json:"granted"`
	Wanted  string `json:"wanted,omitempty"`
	Token   uint64 `json:"token,omitempty"`
	Orphan  bool   `json:"orphan,omitempty"`  // its program is gone; only its own node knows
	Session uint64 `json:"session,omitempty"` // of an orphan: who has left it
	Since   int64  `json:"since"`             // when this node saw the running operation begin; if none is running: the grant; ns of its clock
}

// MaxListed is how many locks of a queue are described: whoever looks neither holds the shard up for
// as long as somebody else likes, nor gets more than he can take.
const MaxListed = 16384

// ResourceInfo describes a resource as one node sees it. The queues are
// complete on the master, up to MaxListed; elsewhere they hold this node's locks only.
type ResourceInfo struct {
	Name      []byte     `json:"name"`
	Role      string     `json:"role"`   // unused, lookup, remote, master, claimed, adopting
	Master    uint16     `json:"master"` // node id, 0: not known here
	Directory uint16     `json:"directory"`
	Entry     uint16     `json:"entry,omitempty"` // master according to this node's directory entry
	Granted   []LockInfo `json:"granted,omitempty"`
	Convert   []LockInfo `json:"convert,omitempty"`
	Waiting   []LockInfo `json:"waiting,omitempty"`
	More      [3]int     `json:"more,omitzero"` // further ones of these queues
	Bytes     []ByteInfo `json:"bytes,omitempty"`
	Value     []byte     `json:"value,omitempty"`
	ValueSeq  uint64     `json:"value_seq,omitempty"`
}

// ByteInfo describes a byte range that is locked, or wanted, for people.
type ByteInfo struct {
	Lock    uint64 `json:"lock"`  // id of the handle
	Node    uint16 `json:"node"`  // the owner's
	Owner   uint64 `json:"owner"` // its number there
	Type    string `json:"type"`  // read, write; none: an unlock under way
	Start   int64  `json:"start"`
	End     int64  `json:"end"` // last byte
	Waiting bool   `json:"waiting,omitempty"`
}

// Inspect calls f for each resource until f returns false. The shard must not
// be entered meanwhile.
func (s *Shard) Inspect(f func(ResourceInfo) bool) {
	s.names.each(func(r *resource) bool { return f(s.info(r)) })
}

func (s *Shard) info(r *resource) ResourceInfo {
	i := ResourceInfo{
		Name: append([]byte(nil), r.name()...), Role: r.state.String(),
		Directory: s.dirOf(r), Entry: r.dirLife.Node(),
	}
	i.Granted, i.More[0] = s.list(&r.granted)
	i.Convert, i.More[1] = s.list(&r.convert)
	i.Waiting, i.More[2] = s.list(&r.waiting)
	if r.state != unused && r.state != lookup {
		i.Master = r.life.Node()
	}
	i.Bytes = r.byteInfo()
	if r.valueOK {
		i.Value, i.ValueSeq = append([]byte(nil), r.value...), r.valueSeq
	}
	return i
}

// Own calls f for each lock of this node that somebody has. The shard must not be entered
// meanwhile.
func (s *Shard) Own(f func(user any, id uint64)) {
	s.locks.each(func(l *Lock) {
		if s.local(l) && !l.dying && (!l.orphan || l.takenOver()) {
			f(l.user, s.handle(l))
		}
	})
}

func (s *Shard) list(q *queue) (out []LockInfo, more int) {
	for l := q.head; l != nil; l = l.next {
		if len(out) == MaxListed {
			more++
			continue
		}
		i := LockInfo{ID: l.id, Node: wire.NodeOf(l.owner), Owner: l.xid(), Granted: l.granted.String(), Token: l.token, Since: l.since}
		if l.orphan {
			i.Orphan, i.Session = true, s.orphans[l.id]
		}
		if l.wanted != NoMode {
			i.Wanted = l.wanted.String()
		}
		out = append(out, i)
	}
	return out, more
}

// ResourceState is all that a shard keeps of a name, as it is, for tests and
// tools.
type ResourceState struct {
	Role      string    // as in ResourceInfo
	Life      wire.Life // the master's, or the one proposed
	Entry     wire.Life // directory entry; zero: absent
	Due       bool      // it is as in the view before: see Shard.Work
	Held      int       // messages about the name that wait for the fence
	Early     int       // messages kept until a LOOKUP is answered
	Deferred  int       // operations kept until an adoption is answered
	ClaimedAt int64     // when the open claim was made, this node's ns; 0: none is open
	Value     []byte    // points into the shard
	ValueOK   bool
	Granted   []LockState
	Convert   []LockState
	Waiting   []LockState
}

// LockState is a lock, or a copy of one, as it is.
type LockState struct {
	Owner, ID uint64
	For       uint64 // Request.Owner, unique at Owner; 0: nobody
	Flags     uint32 // of the running or last operation
	Op        uint32 // its number
	Granted   Mode
	Wanted    Mode // NoMode: no operation is running
	High      Mode // highest mode for which a BAST was sent since the grant; NoMode: none
	WantBast  bool
	Demoted   bool
	Value     []byte // that a conversion which waits would write; points into the shard
}

// State fills st for a name with the given hash and says whether the shard
// keeps anything of it. It uses st's slices again. The shard must not be
// entered meanwhile.
func (s *Shard) State(st *ResourceState, hash uint64, name []byte) bool {
	*st = ResourceState{Granted: st.Granted[:0], Convert: st.Convert[:0], Waiting: st.Waiting[:0]}
	r := s.names.find(hash, name)
	if r == nil {
		st.Role = unused.String()
		return false
	}
	st.Role, st.Life, st.Entry = r.state.String(), r.life, r.dirLife
	st.Due = r.turn != s.turn
	st.Early, st.Deferred = len(r.early), len(r.deferred)
	st.Value, st.ValueOK = r.value, r.valueOK
	for h := r.held; h != nil; h = h.resNext {
		st.Held += len(h.msgs)
	}
	if r.claim != nil {
		st.ClaimedAt = r.claim.start
	}
	st.Granted = states(st.Granted, &r.granted)
	st.Convert = states(st.Convert, &r.convert)
	st.Waiting = states(st.Waiting, &r.waiting)
	return true
}

func states(out []LockState, q *queue) []LockState {
	for l := q.head; l != nil; l = l.next {
		out = append(out, LockState{
			Owner: l.owner, ID: l.id, For: l.xid(), Flags: l.flags, Op: l.op, Granted: l.granted, Wanted: l.wanted,
			High: l.high, WantBast: l.wantBast, Demoted: l.demoted, Value: l.pendingValue(),
		})
	}
	return out
}

// HeldBack calls f for each message that waits for the fence, or behind one
// that does. The shard must not be entered meanwhile.
func (s *Shard) HeldBack(f func(to uint16, m *wire.Msg)) {
	for h := s.outbox.head; h != nil; h = h.next {
		for i := range h.msgs {
			f(h.to, &h.msgs[i])
		}
	}
}

// byteInfo lists what is locked by owner, then what waits in order.
func (r *resource) byteInfo() (out []ByteInfo) {
	if r.bytes == nil {
		return nil
	}
	add := func(o byterange.Owner, l byterange.Lock, waiting bool) {
		out = append(out, ByteInfo{
			Lock: o.Handle, Node: wire.NodeOf(o.Node), Owner: o.Number, Type: l.Type.String(), Start: l.Start, End: l.End, Waiting: waiting,
		})
	}
	r.bytes.Each(func(h byterange.Held) bool {
		add(h.Owner, h.Lock, false)
		return true
	})
	for _, w := range r.bytes.Waiting() {
		add(w.Owner, w.Lock, true)
	}
	return out
}

// ByteRanges calls f for each byte range of a name with the given hash that the
// shard keeps, as it is: first those that are granted, by owner and start, then
// those that wait or are under way, in order, until f returns false. The shard
// must not be entered meanwhile.
func (s *Shard) ByteRanges(hash uint64, name []byte, f func(h byterange.Held, waiting bool) bool) {
	r := s.names.find(hash, name)
	if r == nil || r.bytes == nil {
		return
	}
	more := true
	r.bytes.Each(func(h byterange.Held) bool {
		more = f(h, false)
		return more
	})
	for _, w := range r.bytes.Waiting() {
		if !more {
			return
		}
		more = f(byterange.Held{Owner: w.Owner, Lock: w.Lock}, true)
	}
}
