package sim

import (
	"encoding/binary"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// lock is a lock as a program sees it.
type lock struct {
	n         *node
	name      *name
	num       int // place among the run's locks
	id        uint64
	owner     uint64 // lockspace.Request.Owner
	tag       uint64
	mode      lockspace.Mode // held
	from      lockspace.Mode // held before the running operation
	wanted    lockspace.Mode // of the running operation; NoMode: none runs
	flags     uint32         // of the running or last operation
	last      lockspace.Completion
	ends      int      // completions so far
	write     writeRec // what the running operation writes
	writeAt   int      // the number that this write has already; 0: none
	told      uint8    // set of modes that it was told to block, 1<<mode, since the last grant
	bast      bool     // wants to be told
	open      bool     // granted under a claim that is open
	lost      bool
	gone      bool       // unlocked, refused or lost: the id is not valid any more
	dying     bool       // a forced unlock waits for the running operation
	withdrawn bool       // a cancel was asked for
	crashed   bool       // gone with its node
	lapsed    bool       // another has held what the mode held before the running operation excludes
	bytes     *lockBytes // its byte ranges; nil: it has had none
	orphan    bool       // its program has gone, and left it
	session   uint64     // orphan: who has left it
	adopts    bool       // a takeover of an orphan
	takes     *lock      // which
	taker     *lock      // orphan: who is just taking it over
	realID    uint64     // by which the nodes know it, if it is not id
	deadline  int64      // of the running operation, by its node's clock; 0: none
}

func (l *lock) idle() bool { return !l.gone && !l.orphan && l.wanted == lockspace.NoMode }

// left says that l is an orphan on which nothing runs.
func (l *lock) left() bool {
	return !l.gone && l.orphan && l.wanted == lockspace.NoMode && l.taker == nil
}

// real is the id by which nodes know l.
func (l *lock) real() uint64 {
	if l.realID != 0 {
		return l.realID
	}
	return l.id
}

// effective is the mode that l surely holds.
func (l *lock) effective() lockspace.Mode {
	if l.gone || l.mode == lockspace.NoMode {
		return lockspace.NoMode
	}
	switch {
	case l.wanted == lockspace.NoMode:
	case l.flags&lockspace.ConvDeadlk != 0:
		return lockspace.NL // the master may have demoted it
	case l.flags&(lockspace.AltPR|lockspace.AltCW) != 0 && l.mode > lockspace.CR:
		return lockspace.CR // the master may have granted something weaker
	case middle(l.mode, l.wanted):
		return lockspace.CR // the master may have granted it: it excludes less than CW and PR both
	}
	return l.mode
}

// middle says that a conversion is neither up nor down.
func middle(from, to lockspace.Mode) bool {
	return from == lockspace.PR && to == lockspace.CW || from == lockspace.CW && to == lockspace.PR
}

// complete takes the end of an operation.
func (l *lock) complete(n *node, id, tag uint64, c *lockspace.Completion) {
	r := n.r
	if l.id == 0 {
		l.id = id // Lock has not returned yet
	}
	r.tracef(l.name, "node %d: lock %d: %v, %v to %v, token %#x, bits %#x", n.id, l.num, c.Status, l.from, c.Mode, c.Token, c.Bits)
	r.mixIn(uint64(c.Status)<<56 | uint64(c.Mode)<<48 | c.Token)
	r.stats.Completions++
	if l.n != n || l.id != id || l.tag != tag || l.wanted == lockspace.NoMode || l.gone {
		r.fail(inOnce, l.name, "node %d: completion of id %#x tag %d for lock %d, id %#x tag %d, wanted %v, gone %v",
			n.id, id, tag, l.num, l.id, l.tag, l.wanted, l.gone)
		return
	}
	if c.Status == wire.OK && c.Mode != l.wanted && !l.alternate(c) {
		r.fail(inOnce, l.name, "lock %d: granted %v instead of %v", l.num, c.Mode, l.wanted)
		return
	}
	if c.Status == wire.OK && c.Mode != lockspace.NoMode {
		r.leased(n, l.name, "grants")
	}
	if c.Bits&wire.BitDemoted != 0 {
		l.from = lockspace.NL // before the grant
	}
	if l.adopts {
		l.adopted(c)
	}
	l.last = *c
	l.last.Value = nil
	l.mode = c.Mode
	l.open = c.Bits&wire.BitOpenClaim != 0 && c.Mode != lockspace.NoMode
	l.ends++
	if c.Status == wire.OK {
		l.told = 0
		if l.from != lockspace.NoMode && writes(l.from, c.Mode) && l.flags&(lockspace.ValBlk|lockspace.IvValBlk) != 0 && r.valueLen > 0 {
			l.wrote()
		}
	}
	for _, k := range r.checks {
		k.completed(l, c)
	}
	r.completions(l, c)
	l.wanted, l.withdrawn, l.lapsed, l.writeAt, l.deadline, l.adopts = lockspace.NoMode, false, false, 0, 0, false
	if l.mode == lockspace.NoMode || l.dying {
		l.gone, l.mode, l.open = true, lockspace.NoMode, false
	}
}

// alternate says that c grants the alternate mode, and says so.
func (l *lock) alternate(c *lockspace.Completion) bool {
	return c.Bits&wire.BitAltMode != 0 && (l.flags&lockspace.AltPR != 0 && c.Mode == lockspace.PR ||
		l.flags&lockspace.AltCW != 0 && c.Mode == lockspace.CW)
}

// wrote records that the running operation has written.
func (l *lock) wrote() {
	if l.writeAt > 0 {
		l.name.writes[l.writeAt-1].claimed = l.write.claimed
		return
	}
	l.name.writes = append(l.name.writes, l.write)
}

// value makes the i-th value that is written to a name.
func (r *run) value(i int) []byte {
	if r.valueLen == 0 {
		return nil
	}
	v := binary.LittleEndian.AppendUint64(make([]byte, 0, r.valueLen), uint64(i))
	for len(v) < r.valueLen {
		v = append(v, byte(i))
	}
	return v
}

// exclusive says that a grant of m starts a new link of the token chain.
func exclusive(m lockspace.Mode) bool { return m == lockspace.PW || m == lockspace.EX }
