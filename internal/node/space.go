package node

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Owner hears of its locks. The methods are called on the grant path: they
// must not block and must not use the Space.
type Owner interface {
	// Complete ends operation tag on lock id. c is valid during the call.
	Complete(id, tag uint64, c *lockspace.Completion)
	// Blocking: the lock blocks a request for mode.
	Blocking(id uint64, mode lockspace.Mode)
	// Confirmed: the claim under the lock is closed.
	Confirmed(id uint64)
	// Lost: the lock is gone.
	Lost(id uint64)
	// Bytes ends request tag for a byte range of lock id. o is valid during the call.
	Bytes(id, tag uint64, o *lockspace.ByteOutcome)
}

// Props are the properties of a lockspace that all who open it must agree on.
type Props struct {
	ValueLen int                 // bytes of its lock value blocks, 0 to 256
	Range    lockspace.RangeRule // what a name's range key is
}

// propsOf reads the properties in an OPEN_SPACE or LINK_SPACE.
func propsOf(m *wire.Msg) Props {
	return Props{ValueLen: int(m.Num), Range: lockspace.RangeRule(m.Flags)}
}

func (p Props) check() error {
	switch {
	case p.ValueLen < 0 || p.ValueLen > wire.MaxValue:
		return fmt.Errorf("%w: %d bytes, must be 0 to %d", ErrValue, p.ValueLen, wire.MaxValue)
	case !p.Range.Valid():
		return fmt.Errorf("%w: rule %#x", ErrKey, uint32(p.Range))
	}
	return nil
}

// Space is a lockspace on this node.
type Space struct {
	node      *Node
	name      string
	id        uint32
	props     Props
	runners   []*runner
	conflicts conflicts
	clocks    tokenClock
	view      atomic.Pointer[lockspace.View] // nil: none yet
	opened    chan struct{}                  // closed with the first view
	asking    *admission                     // nil: the cluster need not be asked, or is to be asked again; guarded by Node.mu
	renewing  atomic.Bool                    // a view with new tokens has been asked for
	lost      atomic.Uint64                  // locks, since Node.watch has looked

	longWaits    atomic.Int32 // when Node.watch has looked last
	recovering   atomic.Int32 // shards that have something to do for a view
	recoversFrom atomic.Int64 // since when, on the node's clock

	barred atomic.Uint32 // why there are no new locks: a lockspace.Status; 0: there are

	// Guarded by Node.mu; see close.go.
	users   int           // who have opened it, and not closed
	usedAt  int64         // when one of them has come or gone last, on the node's clock
	closing chan struct{} // closed with the lockspace; nil: it stays
	viewed  bool          // its first view has come, and is installed now
}

// refuses says why nothing new can be asked for: wire.Mismatch, if nodes disagree about the
// lockspace's name or properties, or wire.ShuttingDown, while it is closed; wire.OK: it can.
func (s *Space) refuses() lockspace.Status { return lockspace.Status(s.barred.Load()) }

type opKind uint8

const (
	opLock opKind = iota + 1
	opConvert
	opUnlock
	opCancel
	opBytes
	opCancelBytes
	opAbandon // the owner is gone; xid: the session's number
	opRefuse  // of a lock that is not the owner's: say why
	opRefuseBytes
	opDelegate
	opReturn
)

// Op is an operation on a lock, or on a range.
type Op struct {
	kind  opKind
	mode  lockspace.Mode
	flags uint32
	id    uint64
	tag   uint64
	xid   uint64 // lockspace.Request.Owner
	wait  int64  // ns, for Shard.Deadline; 0: none
	hash  uint64
	owner Owner
	name  []byte
	value []byte
	trace *Trace // nil: it is not traced
	waits bool   // opLock, once it is done: the lock has neither come nor been refused
	asked uint16 // opConvert, once it is done: the node that it waits for; 0: none, or there is no telling
}

// newID gives an id for a lock that is not in the shard yet. The shard's own are below.
func (r *runner) newID() uint64 { return (outsideIDs+r.ids.Add(1))<<8 | uint64(r.number) }

const outsideIDs = 1 << 55

// runnerOf gives the runner of a name with this hash.
func (s *Space) runnerOf(name []byte, hash uint64) *runner {
	return s.runners[lockspace.ShardOf(s.props.Range.Route(name, hash), len(s.runners))]
}

// Convert changes a granted lock's mode; see lockspace.Shard.Convert. t may be nil. asked is the
// node that it waits for, if that is known; see Node.WatchPeer.
func (s *Space) Convert(owner Owner, id uint64, mode lockspace.Mode, flags uint32, wait time.Duration, value []byte, tag uint64, t *Trace) (asked uint16) {
	op := Op{
		kind: opConvert, mode: mode, flags: flags, id: id, tag: tag, wait: int64(wait), owner: owner, value: value, trace: t,
	}
	s.other(&op, nil)
	return op.asked
}

// Unlock gives a lock up. It completes with wire.Unlocked. With
// lockspace.Retire it completes when its name has ended, or has not: see
// lockspace.Shard.Retire.
func (s *Space) Unlock(owner Owner, id uint64, flags uint32, value []byte, tag uint64) {
	s.other(unlockOp(owner, id, flags, value, tag), nil)
}

// Cancel withdraws operation tag of a lock if it is running (0: any), which then completes as
// cancelled, or as it would have if that came first. Cancel itself has no
// completion.
func (s *Space) Cancel(owner Owner, id, tag uint64) {
	s.other(&Op{kind: opCancel, id: id, tag: tag, owner: owner}, nil)
}

// other routes an operation on an existing lock to its shard.
func (s *Space) other(op *Op, b *batch) {
	n := lockspace.ShardOfLock(op.id)
	if n >= len(s.runners) {
		switch op.kind {
		case opCancel, opCancelBytes:
		case opBytes, opRefuseBytes:
			op.owner.Bytes(op.id, op.tag, refusedBytes(&lockspace.ByteRequest{Lock: op.id}, wire.NoLock))
		default:
			op.owner.Complete(op.id, op.tag, &lockspace.Completion{
				Status: wire.NoLock, Mode: lockspace.NoMode, Text: s.runners[0].shard.Explain(wire.NoLock, &lockspace.Refused{Lock: op.id}),
			})
		}
		return
	}
	s.runners[n].submit(op, b)
}

// submit does op now if the shard is free, else leaves it in the inbox.
func (r *runner) submit(op *Op, b *batch) (done bool) {
	if !r.spinEnter() {
		r.post(op, b)
		return false
	}
	r.drain() // what came before goes first
	r.exec(op)
	r.leave(b)
	return true
}

// post leaves op in the inbox.
func (r *runner) post(op *Op, b *batch) {
	t := taskPool.Get().(*task)
	t.keep(op)
	r.put(t, b)
}

// keep copies op, with its name and value. An empty value stays one: it is not none.
func (t *task) keep(op *Op) {
	t.op = *op
	n := len(op.name)
	if t.buf == nil {
		t.buf = make([]byte, 0, n+len(op.value))
	}
	t.buf = append(append(t.buf[:0], op.name...), op.value...)
	t.op.name = t.buf[:n:n]
	if op.value != nil {
		t.op.value = t.buf[n:]
	}
}

// perform is exec without a look at the time that it takes.
func (r *runner) perform(op *Op) {
	now := r.rough()
	var st lockspace.Status
	switch op.kind {
	case opLock:
		if st = r.space.refuses(); st != wire.OK {
			break
		}
		q := lockspace.Request{
			ID: op.id, Name: op.name, Hash: op.hash, Mode: op.mode, Flags: op.flags, Owner: op.xid, User: op.owner, Tag: op.tag,
		}
		r.sketch.request(now, op.hash, op.name)
		_, st = r.shard.Lock(now, &q)
		op.waits = q.Waits
	case opConvert:
		st = r.shard.Convert(now, op.id, op.mode, op.flags, op.value, op.tag)
		if sp, ok := op.owner.(*sessionSpace); ok && st == wire.OK && r.shard.Waiting(op.id) {
			sp.changes(op.id, op.tag)
		}
		op.asked = r.shard.Asked(op.id)
	case opUnlock:
		if op.flags&lockspace.Retire != 0 {
			st = r.shard.Retire(now, op.id, op.flags, op.value, op.owner, op.tag)
			break
		}
		if st = r.shard.Unlock(now, op.id, op.flags, op.value); st == wire.OK {
			st = wire.Unlocked
		}
	case opDelegate:
		if st = r.space.refuses(); st != wire.OK {
			break
		}
		st = r.shard.Delegate(now, op.name, op.owner, op.tag)
	case opReturn:
		st = r.shard.Return(now, op.name, op.owner, op.tag)
	case opCancel:
		r.shard.Cancel(now, op.id, op.tag)
	case opBytes:
		r.execBytes(now, op)
	case opCancelBytes:
		r.shard.CancelBytes(now, op.id, op.tag)
	case opAbandon:
		if st = r.shard.Abandon(now, op.id, op.xid); st == wire.OK {
			st = wire.Unlocked
		}
	case opRefuse:
		st = r.notTheirs(op.id)
	case opRefuseBytes:
		r.Bytes(op.owner, op.id, op.tag, refusedBytes(&lockspace.ByteRequest{Lock: op.id}, r.notTheirs(op.id)))
	}
	r.settle(op, st)
}

// settle sees to an operation behind its entry point.
func (r *runner) settle(op *Op, st lockspace.Status) {
	if st != wire.OK {
		r.refuse(op, st)
	} else {
		r.goesOn(op)
	}
}

// goesOn looks at an operation that may wait.
func (r *runner) goesOn(op *Op) {
	if r.node.alone && op.kind <= opConvert && r.shard.Pending() == 1 {
		r.shard.Began(r.now(), op.id) // the first that waits: rough has given an older time
	}
	if op.wait != 0 {
		r.shard.Deadline(r.now(), op.id, op.tag, op.wait) // if it waits at all
	}
}

// notTheirs says what is wrong with a lock id that is not the caller's.
func (r *runner) notTheirs(id uint64) lockspace.Status {
	if _, ok := r.shard.User(id); ok {
		return wire.NotOwner
	}
	return wire.NoLock
}

// refuse completes an operation that has come to nothing at once.
func (r *runner) refuse(op *Op, st lockspace.Status) {
	c := &r.outcome
	*c = lockspace.Completion{Status: st, Mode: lockspace.NoMode}
	switch st {
	case wire.Unlocked:
	case wire.Mismatch:
		c.Text = fmt.Sprintf("%q has values of %d bytes and range keys %v here, others on another node",
			r.space.name, r.space.props.ValueLen, r.space.props.Range)
	default:
		c.Text = r.shard.Explain(st, &lockspace.Refused{
			Op: op.kind.operation(), Name: op.name, Lock: op.id, Mode: op.mode, Flags: op.flags, Value: len(op.value),
		})
	}
	r.Complete(op.owner, op.id, op.tag, c)
}

func (k opKind) operation() lockspace.Operation {
	switch k {
	case opLock:
		return lockspace.OpLock
	case opConvert:
		return lockspace.OpConvert
	}
	return lockspace.OpUnlock
}

// ReleaseAll gives up all locks whose owner is accepted, those that wait for
// something included. Their owners hear of it.
func (s *Space) ReleaseAll(accept func(Owner) bool) { s.giveUp(opUnlock, accept) }

// Leave is ReleaseAll, but leaves persistent locks as orphans, of session 0.
func (s *Space) Leave(accept func(Owner) bool) { s.giveUp(opAbandon, accept) }

func (s *Space) giveUp(kind opKind, accept func(Owner) bool) {
	for _, r := range s.runners {
		r.wait(func(r *runner) {
			var ids []uint64
			var owners []Owner
			r.shard.Own(func(user any, id uint64) {
				if o := user.(Owner); accept(o) {
					ids, owners = append(ids, id), append(owners, o)
				}
			})
			for i, id := range ids {
				r.exec(&Op{kind: kind, flags: lockspace.ForceUnlock, id: id, owner: owners[i]})
			}
		})
	}
}
