package lockspace

import (
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/wire"
)

// Config fixes a shard.
type Config struct {
	Self      uint64    // this node's instance; its low 16 bits are the node id
	Shard     int       // number of this shard, 0 to Shards-1
	Shards    int       // shards of this lockspace on this node, 1 to 256
	ValueLen  int       // bytes of a lock value block, 0 to 256
	Range     RangeRule // what a name's range key is, the same on all nodes
	View      *View     // that the lockspace was made in; nil: it exists, and Install lets this node take part
	Host      Host
	Common    Common
	IdleAfter int64    // ns that an unused resource stays cached; at least 0, the same on all nodes
	Cached    int      // of more unused ones than these, the oldest stay for the part IdleShare of that; 0: 1<<16
	Drift     int64    // ns that the idle test of an adoption allows for clock drift
	Lives     uint64   // Shard.Lives of the shards that this instance had before; 0: this is its first
	MaxLocks  int      // locks that this shard owns or masters at the same time; 0: 1<<24
	Without   Rules    // tests only: protocol rules switched off
	Mistakes  Mistakes // tests only: bugs switched on
}

func (c *Config) validate() error {
	switch {
	case c.Host == nil || c.Common == nil:
		return errors.New("lockspace: Host and Common are needed")
	case wire.NodeOf(c.Self) == 0:
		return fmt.Errorf("lockspace: instance %#x has node id 0", c.Self)
	case c.Shards < 1 || c.Shards > 256 || c.Shard < 0 || c.Shard >= c.Shards:
		return fmt.Errorf("lockspace: shard %d of %d, must be one of 1 to 256", c.Shard, c.Shards)
	case c.ValueLen < 0 || c.ValueLen > wire.MaxValue:
		return fmt.Errorf("lockspace: value length %d, must be 0 to %d", c.ValueLen, wire.MaxValue)
	case !c.Range.Valid():
		return fmt.Errorf("lockspace: range rule %#x", uint32(c.Range))
	case c.IdleAfter < 0 || c.Drift < 0 || c.MaxLocks < 0 || c.Cached < 0:
		return errors.New("lockspace: negative time or limit")
	}
	if c.MaxLocks == 0 {
		c.MaxLocks = 1 << 24
	}
	if c.Cached == 0 {
		c.Cached = 1 << 16
	}
	return nil
}

// Shard is the state machine of one shard of a lockspace on one node. It has
// one caller at a time; see doc.go.
type Shard struct {
	// What every operation writes stands together, as do the parts of the tables that it writes: in few lines
	// of a processor's cache.
	clock     uint64 // highest token this shard has issued or seen
	now       int64
	quick     [2]uint64 // Stats.Quick
	lives     uint64
	lockIDs   uint64
	hereGrant *Grant // of the last lock of here
	here      uint32 // Lock.at of the new lock of who runs the shard, until it is granted; 0: none that he takes in his place
	starved   bool   // something waits for a token only
	idle      idleList
	names     resTable
	locks     lockTable

	cfg     Config
	host    Host
	common  Common
	view    *View
	self    uint16
	without Rules

	freeRare  *rare
	freshRare []rare // not in use yet
	freeValue *valueBlock
	noRare    rare       // of names that have none: always empty
	noValue   valueBlock // the same
	freeClaim *claim     // chained by next

	lastByteReq uint64 // number of the last RANGE that this shard has sent
	byteGives   uint64 // above what tables that have gone have counted, see byterange.From
	keptBytes   int    // ranges in all resources' recoveries
	fetched     uint64 // see Expect
	pending     int    // operations of local locks that are slow

	members    []member // of the view, but for this node
	lastFrom   uint64   // instance of a sender that is surely one
	prev       uint64   // epoch of the view before
	told       uint64   // epoch of the last DONE that was sent
	rebuilt    uint64   // all orphans of views up to this epoch are rebuilt
	trusted    [dirSlots / 64]uint64
	recs       []*resource // those with a recovery
	freshRecs  []recovery  // not in use yet: many are needed at once, see record
	freshReps  []report    // the same
	repBytes   []byte      // room for what reports point to
	repLocks   wire.LockList
	futures    []future
	kept       int  // requests in recs
	reported   int  // reports in recs; at most Config.MaxLocks
	recovering bool // not all have told what they must in this view
	fenced     bool
	late       bool  // the message being delivered is of an earlier view
	frozen     bool  // a view is being installed: nothing leaves the outbox
	work       work  // what a view has brought and is not done yet
	turn       uint8 // changes with each view; names with another one are still to be carried over

	claims     claimList
	answeredAt int64 // when a claim was last closed
	srtt       int64 // smoothed time from NOTIFY to its answer, ns; 0: none seen
	outbox     outbox
	deadlocks  deadlocks
	doomed     []uint64          // ids of granted locks whose owner is gone
	wills      map[uint64]will   // by lock id: what to do with the value of those that go by force
	orphans    map[uint64]uint64 // by lock id: locks without a program, and who has left them
	handles    map[uint64]uint64 // by lock id: what its user calls a lock that he has taken over
	byHandle   map[uint64]*Lock
	retires    map[uint64]*retirement // by lock id
	unsettled  []uint64               // keys of those that wait for a claim
	before     uint64                 // what is sent waits for claims below this one only; 0: for all
	timers     timerHeap
	timerOf    map[uint64]*timer // by lock id
	viewAt     int64             // when recovering began

	ranges      map[string]*keyRange // by key; nil: none yet
	leaving     []*keyRange          // those about to move to another node
	generations uint64
	home        []wire.Msg // messages to this node itself, see keepHome

	stats Stats
	msg   wire.Msg   // handed to Host.Send
	ast   Completion // handed to Host.Complete
}

// Stats counts what a shard has done since it was made. Gauges are marked.
type Stats struct {
	Resources, Locks int // gauges
	ClaimsOpen       int // gauge
	ClaimsMade       uint64
	ClaimsConfirmed  uint64    // closed by CONFIRM or a message that implies it
	ClaimsAdopted    uint64    // closed by a clean adoption
	ClaimsLost       uint64    // closed with a conflict
	ClaimsRefused    uint64    // New asked for, but done as a lookup: a limit, the lease, or the directory node
	ClaimTimes       Histogram // that claims were open, of closed ones
	NotifyResent     uint64
	LocksLost        uint64                // granted locks taken back: after a conflict, or by Fence
	HeldNow          int                   // gauge: messages waiting for the fence
	HeldTotal        uint64                // messages that have waited for the fence
	HeldTimes        Histogram             // that they waited
	Ignored          uint64                // messages that matched nothing any more
	RangesOwned      int                   // gauge: ranges that this node is the directory of by delegation
	RangesLent       int                   // gauge: ranges that this node has delegated to others
	Relayed          uint64                // messages passed on to the owner of a range, or back
	TwoMasters       uint64                // names for which two nodes were confirmed as master; never above 0
	Retired          uint64                // names whose end a program of this node has asked for, and got
	TokensLeft       uint64                // gauge: exclusive grants for which the view's epoch has tokens
	BadClocks        uint64                // messages whose token clock was too far ahead to be true
	Overrun          uint64                // messages over the limits of what is kept for later
	Recovering       bool                  // gauge: DONE of other nodes is waited for
	Deadlocks        uint64                // waiting operations ended here because they were part of a cycle
	Phantoms         uint64                // cycles of which an edge was gone at the second look
	ProbesStarted    uint64                // looks for a deadlock
	ProbesDropped    uint64                // steps of them that a limit has stopped
	Pending          int                   // gauge: operations of this node's locks that are not over
	Quick            [2]uint64             // grants that came at once, by Way: AtOnce, Claimed
	Grants           [Ways]Histogram       // times from request to grant, of the others
	Refused          [wire.Statuses]uint64 // operations that have ended without what they asked for
	Recoveries       Histogram             // times from a view until this shard answered for all its names again
}

// New makes an empty shard.
func New(cfg Config) (*Shard, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Shard{
		cfg: cfg, host: cfg.Host, common: cfg.Common, view: cfg.View, lives: cfg.Lives,
		self: wire.NodeOf(cfg.Self), without: cfg.Without, lastFrom: noInstance,
	}
	if s.view == nil {
		s.view = &View{}
		return s, nil
	}
	s.admitMembers(s.view.Epoch, s.view.Epoch+1)
	s.told, s.rebuilt = s.view.Epoch, s.view.Epoch
	s.trustAll()
	return s, nil
}

// Stats gives the counters and gauges as they are now.
func (s *Shard) Stats() Stats {
	st := s.stats
	st.Resources, st.Locks, st.ClaimsOpen, st.HeldNow = s.names.n, s.locks.n, s.claims.n, s.outbox.n
	st.Quick, st.Pending = s.quick, s.pending
	for _, k := range s.ranges {
		if k.owner == s.cfg.Self {
			st.RangesOwned++
		} else {
			st.RangesLent++
		}
	}
	st.Recovering = s.recovering
	st.TokensLeft = s.lastOfEpoch() - min(s.clock, s.lastOfEpoch())
	return st
}

func (s *Shard) off(r Rules) bool { return s.without&r != 0 }

func (s *Shard) errs(m Mistakes) bool { return s.cfg.Mistakes&m != 0 }

// resource finds a name or makes room for it.
func (s *Shard) resource(hash uint64, name []byte) *resource {
	if r := s.find(hash, name); r != nil {
		return r
	}
	r := s.names.get()
	if r.rare != &s.noRare {
		r.rare = &s.noRare
	}
	if r.valueBlock != &s.noValue {
		r.valueBlock = &s.noValue
	}
	r.hash, r.turn = hash, s.turn
	s.setName(r, name)
	s.names.insert(r)
	return r
}

// release frees a resource that holds nothing any more; else it does nothing.
func (s *Shard) release(r *resource) {
	if r.state != unused || !r.dirLife.IsZero() || r.held != nil || !r.noLocks() || len(r.early) != 0 || r.rec != nil {
		return
	}
	s.idle.remove(r)
	s.names.remove(r)
	r.state = freed // a second call must not free it again
	if r.nameLen > shortName {
		r.long = nil
	}
	s.shed(r)
	s.forgetValue(r)
	if r.claim != nil {
		r.claim = nil
	}
	s.names.free = append(s.names.free, r.at)
}

// newLock makes a lock of owner on r, in no queue yet.
func (s *Shard) newLock(r *resource, owner, id uint64) *Lock {
	l := s.locks.get()
	l.id, l.owner, l.res = id, owner, r
	l.granted, l.wanted, l.high = NoMode, NoMode, NoMode
	s.locks.insert(l)
	if owner != s.cfg.Self {
		r.owners |= ownerBit(owner)
	}
	r.traits.set(ending, false)
	s.idle.remove(r)
	return l
}

// freeLockOf takes a lock out of every table.
func (s *Shard) freeLockOf(l *Lock) {
	if l.res.bytes != nil {
		s.dropBytes(l, wire.Cancelled)
	}
	if l.res.held != nil && !s.local(l) {
		s.dropHeldTo(l)
	}
	if l.more != nil {
		s.endWait(l)
	}
	if l.pace != 0 {
		s.over(l, false)
	}
	l.unqueue()
	if l.timed || l.renamed || l.orphan || l.dying {
		s.dropSideEntries(l)
	}
	s.locks.remove(l)
	l.user, l.res = nil, nil
	if l.more != nil {
		l.more = nil
	}
	s.locks.put(l)
}

// dropSideEntries takes l out of the tables that few locks are in.
func (s *Shard) dropSideEntries(l *Lock) {
	s.stopTimer(l)
	s.dropHandle(l)
	s.reclaim(l)
	delete(s.wills, l.id)
}

func (s *Shard) newLockID() uint64 {
	s.lockIDs++
	return s.lockIDs<<8 | uint64(s.cfg.Shard)
}

// ShardOfLock gives the shard that issued a lock id.
func ShardOfLock(id uint64) int { return int(id & 0xff) }

func (s *Shard) newLife() wire.Life {
	s.lives++
	return wire.Life{Instance: s.cfg.Self, Counter: s.lives<<8 | uint64(s.cfg.Shard)}
}

// Lives gives a number that is not below the counter of any life that this shard has given. An
// instance gives no life twice, so its next shard begins there: see Config.
func (s *Shard) Lives() uint64 { return s.lives }

// sameLife compares lives.
func (s *Shard) sameLife(a, b wire.Life) bool {
	if s.off(NoUniqueLife) {
		return a.Counter == b.Counter
	}
	return a == b
}

func (s *Shard) local(l *Lock) bool { return l.owner == s.cfg.Self }
