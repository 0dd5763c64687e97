package node

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/yield"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// session is one client's connection and all its locks. They die together.
type session struct {
	node    *Node
	conn    *engine.FrameConn
	id      uint64
	name    string // what the client calls itself
	client  access.Client
	opening atomic.Int32   // lockspaces that others are asked about
	denials atomic.Bool    // it has been denied something
	ticket  *engine.Ticket // until the session begins
	pace    *pace
	refused error // why REFUSED was sent
	greeted bool  // written under mu, as are the next two
	version uint8
	leases  bool                     // the client knows of leases (wire.FeatureLease)
	rights  bool                     // and of rights (wire.FeatureAccess)
	ringed  bool                     // it has been offered a ring
	offered bool                     // and has not answered
	dirty   atomic.Bool              // some runner will flush
	batch   batch                    // of the connection's reading goroutine
	spaces  map[uint32]*sessionSpace // opened; reading goroutine only
	trace   *wire.Msg                // the last TRACE_REQ, until its request comes; likewise

	mu       sync.Mutex // guards what follows; answers come from several shards
	out      []byte     // open frame, nil if empty
	space    uint32     // lockspace of the open frame
	count    uint16
	gone     bool
	locks    int
	waiting  int             // requests that have not been answered
	leaseEnd int64           // on the node's clock, of the lease that the client was told; 0: none, or without end
	ready    []*sessionSpace // opened, and not yet among spaces
}

// sessionSpace is a session's part in one lockspace. It owns the locks.
type sessionSpace struct {
	session    *session
	space      *Space
	may        access.Right
	policy     *access.Policy        // by which that was found; nil: anew with the next request
	locks      map[uint64]clientLock // by id; guarded by session.mu, as is waiting
	unanswered int                   // of session.waiting
	deaf       func()                // ends that it hears of conflicts
	waiting    map[uint64]uint64     // requests for a mode that wait: request number -> id
}

// clientLock is what the session remembers of a lock.
type clientLock struct {
	req     uint64 // of the operation that waits
	at      uint32 // Node.ticks when that began
	waiting bool   // the LOCK request has not been answered
	changes bool   // a conversion waits
}

// message handles one message of the client. An error ends the connection.
func (s *session) message(h *wire.Header, m *wire.Msg) error {
	if !s.greeted {
		return s.hello(m)
	}
	if s.pace != nil {
		if refused, err := s.tooFast(h.Lockspace, m); refused || err != nil {
			return err
		}
	}
	switch m.Type {
	case wire.OpenSpace:
		s.openSpace(m)
		return nil
	case wire.BarrierReq:
		s.barrier(m)
		return nil
	case wire.LeaseReq:
		s.answerLease(h.Lockspace, m.Req)
		return nil
	case wire.Ping:
		s.send(0, &wire.Msg{Type: wire.Pong, Num: m.Num})
		return nil
	case wire.Ring:
		return s.ring(m)
	case wire.TraceReq:
		s.traceReq(m)
		return nil
	}
	sp := s.spaceOf(h.Lockspace)
	if sp == nil {
		return s.notOpen(h.Lockspace, m)
	}
	return sp.message(m)
}

// barrier answers when what the node has created is known to the cluster. It is a request that
// waits.
func (s *session) barrier(m *wire.Msg) {
	s.mu.Lock()
	full := s.full()
	if !full {
		s.waiting++
	}
	s.mu.Unlock()
	if full {
		s.fail(0, m, wire.Limit, s.tooMany())
		return
	}
	req := m.Req
	s.node.barrier(s, func(err error) {
		st := wire.OK
		if err != nil {
			st = wire.ShuttingDown
		}
		s.mu.Lock()
		s.waiting--
		s.append(0, &wire.Msg{Type: wire.Ast, Req: req, Status: st, Mode: wire.NoMode})
		s.mu.Unlock()
		s.flush()
	})
}

// notOpen answers a message about a lockspace that this client has not opened.
func (s *session) notOpen(space uint32, m *wire.Msg) error {
	s.conn.Unwelcome() // it may be another one's
	switch m.Type {
	case wire.CloseSpace:
		s.send(space, &wire.Msg{Type: wire.SpaceClosed, Req: m.Req, Status: wire.NoSpace})
	case wire.LockReq, wire.ConvertReq, wire.UnlockReq, wire.PurgeReq, wire.DelegateReq, wire.ReturnReq:
		s.fail(space, m, wire.NoSpace, "")
	case wire.RangeReq:
		s.failBytes(space, m, wire.NoSpace, "")
	case wire.CancelReq, wire.RangeCancelReq: // has no answer; what it means has been answered
	default:
		return fmt.Errorf("%w: type %d from a client", wire.ErrType, m.Type)
	}
	return nil
}

// hello negotiates. A client that offers no version we speak is refused.
func (s *session) hello(m *wire.Msg) error {
	if m.Type != wire.Hello {
		return fmt.Errorf("%w: type %d before HELLO", wire.ErrType, m.Type)
	}
	s.node.lobby.Leave(s.ticket)
	version, err := wire.Negotiate(m.Num)
	var status wire.Status
	var text string
	if err != nil {
		status, text = wire.BadVersion, err.Error()
	} else {
		status, text = s.node.admit(s)
	}
	if status != wire.OK {
		s.send(0, &wire.Msg{
			Type: wire.Refused, Status: status, Num: wire.VersionRange(wire.VersionMin, wire.VersionMax), Text: []byte(text),
		})
		s.flush()
		s.refused = errors.New("refused: " + text)
		s.conn.Unwelcome()
		s.conn.CloseSent()
		return nil
	}
	s.pace = s.node.newPace(&s.client)
	s.name = quoted(m.Text) // it is shown on terminals
	s.mu.Lock()
	s.conn.SetMaxFrame(0)
	s.greeted, s.version = true, version
	s.leases, s.rights = m.Features&wire.FeatureLease != 0, m.Features&wire.FeatureAccess != 0
	s.mu.Unlock()
	features := m.Features & wire.Features
	if s.node.cfg.Tracing == nil {
		features &^= wire.FeatureTrace
	}
	if !s.offerRing(features) {
		features &^= wire.FeatureRing
	}
	s.send(0, &wire.Msg{
		Type: wire.Welcome, Instance: s.id, Num: uint32(version), Features: features,
		Text: fmt.Appendf(nil, "node %d", s.node.cfg.ID),
	})
	if m.Features&wire.FeatureIdentity != 0 {
		s.send(0, &wire.Msg{Type: wire.Identity, Instance: s.node.cfg.Instance})
	}
	if s.offered {
		s.send(0, &wire.Msg{Type: wire.Ring, Num: engine.RingSize})
	}
	s.node.cfg.Logger.Info("client connected", "event", eventSessionBegin, "session", s.id, "client", s.name, "as", s.client.String(), "remote", s.conn.RemoteAddr())
	return nil
}

// fail completes an operation that never began.
func (s *session) fail(space uint32, m *wire.Msg, st wire.Status, text string) {
	s.send(space, &wire.Msg{Type: wire.Ast, Lock: m.Lock, Req: m.Req, Status: st, Mode: wire.NoMode, Text: []byte(text)})
}

// message is an operation on a lock. Until the client knows a lock's id, a
// CANCEL names it by Lock 0 and the number of its LOCK request.
func (sp *sessionSpace) message(m *wire.Msg) error {
	s := sp.session
	if need := needs(m); need > sp.mayNow() {
		s.deny(sp, m, need)
		return nil
	}
	switch m.Type {
	case wire.LockReq:
		sp.lock(m)
	case wire.ConvertReq:
		if sp.owns(m, true) {
			sp.space.other(&Op{
				kind: opConvert, mode: lockspace.Mode(m.Mode), flags: m.Flags, id: m.Lock, tag: m.Req,
				wait: waitOf(m), owner: sp, value: value(m), trace: s.traceOf(sp, m, "convert"),
			}, &s.batch)
		}
	case wire.UnlockReq:
		if sp.owns(m, false) {
			sp.space.other(&Op{kind: opUnlock, flags: m.Flags, id: m.Lock, tag: m.Req, owner: sp, value: value(m), trace: s.traceOf(sp, m, "unlock")}, &s.batch)
		}
	case wire.CancelReq:
		if id := sp.find(m); id != 0 {
			sp.space.other(&Op{kind: opCancel, id: id, tag: m.Req, owner: sp}, &s.batch)
		}
	case wire.RangeReq:
		sp.bytes(m)
	case wire.RangeCancelReq:
		if sp.has(m.Lock) {
			sp.space.other(&Op{kind: opCancelBytes, id: m.Lock, tag: m.Req, owner: sp}, &s.batch)
		}
	case wire.DelegateReq:
		if !sp.more(m, true) {
			return nil
		}
		sp.space.rangeOp(&Op{kind: opDelegate, owner: sp, name: m.Name, tag: m.Req}, &s.batch)
	case wire.ReturnReq:
		if !sp.more(m, false) {
			return nil
		}
		sp.space.rangeOp(&Op{kind: opReturn, owner: sp, name: m.Name, tag: m.Req}, &s.batch)
	case wire.CloseSpace:
		sp.releaseAll(false)
		delete(s.spaces, sp.space.id)
		s.node.cfg.Logger.Debug("client has closed a lockspace", "event", eventLockspaceClose, "lockspace", sp.space.name, "session", s.id, "client", s.name)
		s.send(sp.space.id, &wire.Msg{Type: wire.SpaceClosed, Req: m.Req})
	case wire.PurgeReq:
		sp.purge(m)
	default:
		return fmt.Errorf("%w: type %d from a client", wire.ErrType, m.Type)
	}
	return nil
}

// find gives the id of the lock that a CANCEL means, 0 if there is none.
func (sp *sessionSpace) find(m *wire.Msg) uint64 {
	sp.session.mu.Lock()
	defer sp.session.mu.Unlock()
	if m.Lock == 0 {
		return sp.waiting[m.Req]
	}
	if _, ok := sp.locks[m.Lock]; ok {
		return m.Lock
	}
	return 0
}

// owns says whether m is about a lock of this session; if not, the shard
// answers, which knows whether it is anybody's. limited: it may be one request too many.
func (sp *sessionSpace) owns(m *wire.Msg, limited bool) bool {
	s := sp.session
	s.mu.Lock()
	_, ok := sp.locks[m.Lock]
	room := sp.waits(limited)
	s.mu.Unlock()
	switch {
	case !room:
		s.fail(sp.space.id, m, wire.Limit, s.tooMany())
		return false
	case !ok:
		sp.space.other(&Op{kind: opRefuse, id: m.Lock, tag: m.Req, owner: sp}, &s.batch)
	}
	return ok
}

// has says whether a lock is this session's.
func (sp *sessionSpace) has(id uint64) bool {
	sp.session.mu.Lock()
	defer sp.session.mu.Unlock()
	_, ok := sp.locks[id]
	return ok
}

// waitOf gives the time in ns that m may wait.
func waitOf(m *wire.Msg) int64 { return int64(min(m.Wait, 1<<62)) }

func value(m *wire.Msg) []byte {
	if m.Bits&wire.BitValue == 0 {
		return nil
	}
	if m.Value == nil {
		return []byte{}
	}
	return m.Value
}

// lock asks for a lock. It is on the session's list before anything can be
// heard of it.
func (sp *sessionSpace) lock(m *wire.Msg) {
	s := sp.session
	xid, ok := s.xid(m.Owner)
	if !ok {
		s.fail(sp.space.id, m, wire.BadOwner, badOwner(m.Owner))
		return
	}
	hash := lockspace.Hash(m.Name)
	r := sp.space.runnerOf(m.Name, hash)
	id := r.newID()
	s.mu.Lock()
	if most := s.node.cfg.Limits.Locks; s.locks >= most {
		s.mu.Unlock()
		s.fail(sp.space.id, m, wire.Limit, s.node.overText(most, "locks", "max_client_locks"))
		return
	}
	if !sp.waits(true) {
		s.mu.Unlock()
		s.fail(sp.space.id, m, wire.Limit, s.tooMany())
		return
	}
	s.locks++
	sp.locks[id] = clientLock{req: m.Req, at: s.node.ticks.Load(), waiting: true}
	s.mu.Unlock()
	req := m.Req
	op := Op{
		kind: opLock, mode: lockspace.Mode(m.Mode), flags: m.Flags, id: id, tag: req, xid: xid, wait: waitOf(m),
		hash: hash, owner: sp, name: m.Name, trace: s.traceOf(sp, m, "lock"),
	}
	if r.submit(&op, &s.batch) && !op.waits {
		return
	}
	s.mu.Lock()
	if l, ok := sp.locks[id]; ok && l.waiting {
		sp.waiting[req] = id
	}
	s.mu.Unlock()
}

// xid makes an owner id of the node of one of the client: those of embedded
// programs and of the sessions do not meet.
func (s *session) xid(owner uint64) (xid uint64, ok bool) {
	if owner == 0 {
		return 0, true
	}
	return s.id<<32 | owner, owner < 1<<32
}

func badOwner(owner uint64) string { return fmt.Sprintf("owner %d, must be below 1<<32", owner) }

// Complete answers an operation (Owner).
func (sp *sessionSpace) Complete(id, tag uint64, c *lockspace.Completion) {
	s := sp.session
	s.mu.Lock()
	defer s.mu.Unlock()
	sp.answered()
	if l, ok := sp.locks[id]; ok {
		if l.waiting || l.changes && (l.req == tag || gone(c)) {
			delete(sp.waiting, l.req)
		}
		if l.waiting && c.Status != wire.OK || gone(c) {
			delete(sp.locks, id)
			s.locks--
		} else {
			sp.granted(id, tag, l)
		}
	}
	m := wire.Msg{
		Type: wire.Ast, Lock: id, Req: tag, Mode: uint8(c.Mode), Status: c.Status, Bits: c.Bits,
		Hops: c.Hops, Token: c.Token, Seq: c.Seq, Value: c.Value, Text: []byte(c.Text), Path: c.Cycle,
	}
	if len(c.Cycle) > 0 {
		m.Type = wire.DeadlockAst
	}
	s.append(sp.space.id, &m)
}

// gone says that an outcome is the end of a lock that has been granted.
func gone(c *lockspace.Completion) bool {
	switch c.Status {
	case wire.Unlocked, wire.LostLock, wire.InUse:
		return true
	case wire.Cancelled: // of a retirement; a conversion has a mode
		return c.Mode == lockspace.NoMode
	}
	return false
}

// Blocking passes a BAST on (Owner).
func (sp *sessionSpace) Blocking(id uint64, mode lockspace.Mode) {
	sp.session.event(sp.space.id, &wire.Msg{Type: wire.BlockingAst, Lock: id, Mode: uint8(mode)})
}

// Confirmed passes the end of a claim on (Owner).
func (sp *sessionSpace) Confirmed(id uint64) {
	sp.session.event(sp.space.id, &wire.Msg{Type: wire.Confirmed, Lock: id})
}

// Lost passes a loss on (Owner).
func (sp *sessionSpace) Lost(id uint64) {
	s := sp.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := sp.locks[id]; ok {
		delete(sp.locks, id)
		s.locks--
	}
	s.append(sp.space.id, &wire.Msg{
		Type: wire.Lost, Lock: id, Status: wire.LostLock, Text: []byte("the name was not new: another node held it"),
	})
}

func (s *session) event(space uint32, m *wire.Msg) {
	s.mu.Lock()
	s.append(space, m)
	s.mu.Unlock()
}

// send is event for answers that no shard gives.
func (s *session) send(space uint32, m *wire.Msg) { s.event(space, m) }

// append puts m into the open frame. A frame is of one lockspace. mu is held.
func (s *session) append(space uint32, m *wire.Msg) {
	if s.gone {
		return
	}
	s.sayQuorum(m)
	if s.out != nil && (s.space != space || len(s.out) >= frameTarget) {
		s.sendFrame()
	}
	if s.out == nil {
		s.out, s.space = engine.GetBuf(), space
	}
	s.out = m.Append(s.out)
	s.count++
}

// markDirty says whether the caller must see to a flush. Inside a shard.
func (s *session) markDirty() bool {
	return !s.dirty.Load() && !s.dirty.Swap(true) // the latter costs more
}

// flush sends the open frame.
func (s *session) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty.Store(false) // under mu: what is appended from here on marks it again
	if s.out != nil && !s.gone {
		s.sendFrame()
	}
}

func (s *session) sendFrame() {
	frame := s.out
	wire.SealFrame(frame, &wire.Header{
		Version: max(s.version, wire.HelloVersion), Kind: wire.KindClient, Count: s.count,
		Lockspace: s.space, Instance: s.id, Epoch: s.node.epoch.Load(),
	})
	s.out, s.count = nil, 0
	s.conn.Send(frame) // a failure closes the connection, and OnClose the session
}

// leaveConn lets nothing more go out.
func (s *session) leaveConn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = true
	if s.out != nil {
		engine.PutBuf(s.out)
		s.out = nil
	}
}

// releaseAll gives up all the session has, because the client has gone. If the
// node goes too, nothing stays.
func (s *session) releaseAll(closing bool) {
	s.takeReady()
	for _, sp := range s.spaces {
		sp.releaseAll(closing)
	}
}

func (sp *sessionSpace) releaseAll(closing bool) {
	sp.deaf()
	s := sp.session
	s.mu.Lock()
	ids := make([]uint64, 0, len(sp.locks))
	for id := range sp.locks {
		ids = append(ids, id)
	}
	s.locks -= len(ids)
	s.waiting -= sp.unanswered
	sp.unanswered = 0
	clear(sp.locks)
	clear(sp.waiting)
	s.mu.Unlock()
	kind := opAbandon
	if closing {
		kind = opUnlock
	}
	for i, id := range ids {
		if i%longFrame == longFrame-1 {
			yield.Now()
		}
		sp.space.other(&Op{kind: kind, flags: lockspace.ForceUnlock, id: id, xid: s.id, owner: nobody{}}, nil)
	}
	sp.space.Close()
}

// nobody hears of locks whose owner has gone.
type nobody struct{}

func (nobody) Complete(id, tag uint64, c *lockspace.Completion) {}
func (nobody) Blocking(id uint64, mode lockspace.Mode)          {}
func (nobody) Confirmed(id uint64)                              {}
func (nobody) Lost(id uint64)                                   {}

// lost ends the session, and tells the client why. One that has not been greeted has
// nothing to lose, and will hear how things are when it asks for something.
func (s *session) lost(text string) {
	s.mu.Lock()
	greeted := s.greeted
	s.mu.Unlock()
	if !greeted {
		return
	}
	s.event(0, &wire.Msg{Type: wire.SessionLost, Status: wire.ShuttingDown, Text: []byte(text)})
	s.flush()
	if s.believes() == 0 { // else it hangs up, when it has seen this
		s.conn.CloseSent()
	}
}
