package sim

import (
	"slices"

	ls "github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Oracle is one resource without a cluster: queues, grant order, value and
// statuses as the kernel's DLM has them (Linux fs/dlm/lock.c), written for
// reading, not for speed, and from other tables than package lockspace. Its
// methods are the operations, in the order in which a master executes them;
// what they cause is appended to Events.
type Oracle struct {
	Granted, Convert, Waiting []*OracleLock
	Value                     []byte // of the lock value block
	Valid                     bool
	ValueLen                  int
	Events                    []OracleEvent
}

// OracleLock is a lock of an Oracle.
type OracleLock struct {
	Owner, ID uint64
	Granted   ls.Mode // NoMode: none
	Wanted    ls.Mode // NoMode: no operation is running
	High      ls.Mode // highest mode that its owner was told to block, since the grant
	Flags     uint32
	Bast      bool
	Demoted   bool
	Dying     bool // it is unlocked when its operation ends: nobody listens from then on
	Alternate bool // its alternate mode is granted instead
	value     []byte
}

// OracleEvent is the end of an operation, or a blocking callback.
type OracleEvent struct {
	Owner, ID uint64
	Blocking  bool        // a blocking callback; Mode is what is wanted
	Status    wire.Status // else: outcome of the operation
	Mode      ls.Mode     // granted mode after it
	Demoted   bool
	Alternate bool   // the alternate mode
	Reads     bool   // the value comes with it: Value, or nil if it is not valid
	Value     []byte // a copy
}

// The kernel's tables, a row for each granted mode, a column for each other
// one, in the order NL CR CW PR PW EX.
var (
	oracleCompat = [6]string{"111111", "111110", "111000", "110100", "110000", "100000"}
	oracleValue  = [6]string{"rrrrrr", "-rrrrr", "--rrrr", "---rrr", "wwwwwr", "wwwwww"} // w: writes, r: reads
)

func fits(a, b ls.Mode) bool {
	return a == ls.NoMode || b == ls.NoMode || oracleCompat[a][b] == '1'
}

// writes says whether a conversion writes the value if it is asked to.
func writes(from, to ls.Mode) bool { return from != ls.NoMode && oracleValue[from][to] == 'w' }

func reads(from, to ls.Mode) bool { return from == ls.NoMode || oracleValue[from][to] == 'r' }

// Find gives a lock, nil if there is none.
func (o *Oracle) Find(owner, id uint64) *OracleLock {
	for _, q := range o.queues() {
		for _, l := range *q {
			if l.Owner == owner && l.ID == id {
				return l
			}
		}
	}
	return nil
}

func (o *Oracle) queues() [3]*[]*OracleLock {
	return [3]*[]*OracleLock{&o.Granted, &o.Convert, &o.Waiting}
}

// move puts l at the end of a queue, or in none.
func (o *Oracle) move(l *OracleLock, to *[]*OracleLock) {
	for _, q := range o.queues() {
		if i := slices.Index(*q, l); i >= 0 {
			if q == to {
				return
			}
			*q = slices.Delete(*q, i, i+1)
		}
	}
	if to != nil {
		*to = append(*to, l)
	}
}

// blocked says whether somebody holds what excludes the mode that l wants.
func (o *Oracle) blocked(l *OracleLock) bool {
	for _, q := range []*[]*OracleLock{&o.Granted, &o.Convert} {
		for _, h := range *q {
			if h != l && !fits(h.Granted, l.Wanted) {
				return true
			}
		}
	}
	return false
}

// may says whether l can be granted the mode it wants (_can_be_granted).
// arrived: it has not waited yet.
func (o *Oracle) may(l *OracleLock, arrived bool) bool {
	converts := l.Granted != ls.NoMode
	if l.Flags&ls.Expedite != 0 && l.Wanted == ls.NL && !converts {
		return true
	}
	switch {
	case o.blocked(l):
		return false
	case converts && arrived:
		return l.Flags&ls.QueCvt == 0 || len(o.Convert) == 0
	case l.Flags&ls.OutOfOrder != 0:
		return true
	case converts:
		return o.Convert[0] == l
	case arrived:
		return len(o.Convert)+len(o.Waiting) == 0
	}
	return len(o.Convert) == 0 && o.Waiting[0] == l
}

// try is may, but that a conversion deadlock may demote l, and that its
// alternate mode may be granted (can_be_granted). dead: a deadlock stands.
func (o *Oracle) try(l *OracleLock, arrived bool) (granted, dead bool) {
	switch {
	case o.may(l, arrived):
		return true, false
	case !o.deadlock(l):
	case l.Flags&ls.ConvDeadlk == 0:
		return false, true
	default:
		l.Granted, l.Demoted = ls.NL, true
		return false, false
	}
	asked := l.Wanted
	switch {
	case l.Flags&ls.AltPR != 0 && asked != ls.PR:
		l.Wanted = ls.PR
	case l.Flags&ls.AltCW != 0 && asked != ls.CW:
		l.Wanted = ls.CW
	default:
		return false, false
	}
	if l.Alternate = o.may(l, arrived); !l.Alternate {
		l.Wanted = asked
	}
	return l.Alternate, false
}

// deadlock says whether l and another conversion exclude each other
// (conversion_deadlock_detect).
func (o *Oracle) deadlock(l *OracleLock) bool {
	if l.Granted == ls.NoMode || l.Flags&ls.NoQueue != 0 {
		return false
	}
	before := slices.Index(o.Convert, l)
	for i, other := range o.Convert {
		behind := before >= 0 && i > before
		if other != l && !fits(l.Granted, other.Wanted) && (!behind || !fits(other.Granted, l.Wanted)) {
			return true
		}
	}
	return false
}

// Lock is a new request (do_request).
func (o *Oracle) Lock(owner, id uint64, mode ls.Mode, flags uint32) {
	l := &OracleLock{
		Owner: owner, ID: id, Granted: ls.NoMode, Wanted: mode, High: ls.NoMode, Flags: flags,
		Bast: flags&ls.WantBast != 0,
	}
	granted, _ := o.try(l, true)
	switch {
	case granted:
		o.grant(l)
		o.passed()
	case flags&ls.NoQueue != 0:
		o.refuse(l, wire.WouldBlock)
	case o.enqueue(l, &o.Waiting):
		o.passed()
	default:
		o.tell(o.Granted, l)
	}
}

// passed tells a new lock that came past others whom it blocks. (The kernel does
// not.)
func (o *Oracle) passed() {
	if len(o.Convert)+len(o.Waiting) > 0 {
		o.Pending()
	}
}

// enqueue puts l in a queue, at its head with HEADQUE. Then, and with NOORDER
// beside QUECVT, only those that it passes may have been in its way: it says
// whether l is granted. (The kernel leaves it there.)
func (o *Oracle) enqueue(l *OracleLock, q *[]*OracleLock) (granted bool) {
	o.move(l, q)
	switch {
	case l.Flags&ls.HeadQue != 0: // but not past one that holds what excludes it
		for i := len(*q) - 1; i > 0 && fits((*q)[i-1].Granted, l.Wanted); i-- {
			(*q)[i-1], (*q)[i] = l, (*q)[i-1]
		}
	case l.Flags&ls.QueCvt == 0 || l.Flags&ls.OutOfOrder == 0:
		return false
	}
	if granted, _ = o.try(l, false); granted {
		o.grant(l)
	}
	return granted
}

// Change is a conversion (do_convert). value is what it writes, if it writes.
func (o *Oracle) Change(owner, id uint64, mode ls.Mode, flags uint32, value []byte) {
	l := o.Find(owner, id)
	l.Wanted, l.Flags, l.Demoted, l.value = mode, flags, false, value
	l.Bast = l.Bast || flags&ls.WantBast != 0
	granted, dead := o.try(l, true)
	if l.Demoted && !granted && !dead {
		o.grantConverts()
		granted = o.may(l, true)
	}
	switch {
	case granted:
		o.grant(l)
		o.Pending()
	case dead && flags&ls.NoDlckWt == 0:
		o.refuse(l, wire.Deadlock)
	case flags&ls.NoQueue != 0:
		o.refuse(l, wire.WouldBlock)
	case o.enqueue(l, &o.Convert):
		o.Pending()
	default:
		o.tell(o.Granted, l)
		if dead {
			o.endDeadlocks(l)
		}
		if l.Demoted { // NOORDER may wait for just that; the kernel does not look
			o.Pending()
		}
	}
}

// endDeadlocks refuses what is in a deadlock with l, which does not give up.
// The kernel leaves it.
func (o *Oracle) endDeadlocks(l *OracleLock) {
	ended := false
	for _, other := range slices.Clone(o.Convert) {
		demotes := other.Flags&ls.ConvDeadlk != 0 // in Pending
		if other == l || other.Flags&ls.NoDlckWt != 0 && !demotes || !o.deadlock(other) {
			continue
		}
		if ended = true; !demotes {
			o.refuse(other, wire.Deadlock)
		}
	}
	if ended {
		o.Pending()
	}
}

// Unlock gives a lock up, whether or not an operation is running (do_unlock).
func (o *Oracle) Unlock(owner, id uint64, flags uint32, value []byte) {
	l := o.Find(owner, id)
	if exclusive(l.Granted) {
		o.write(flags, value)
	}
	o.move(l, nil)
	o.Pending()
}

// Cancel withdraws a waiting operation (do_cancel).
func (o *Oracle) Cancel(owner, id uint64) {
	l := o.Find(owner, id)
	o.refuse(l, wire.Cancelled)
	o.Pending()
}

func (o *Oracle) grant(l *OracleLock) {
	from := l.Granted
	if writes(from, l.Wanted) {
		o.write(l.Flags, l.value)
	}
	e := OracleEvent{
		Owner: l.Owner, ID: l.ID, Status: wire.OK, Mode: l.Wanted, Demoted: l.Demoted, Alternate: l.Alternate,
	}
	if reads(from, l.Wanted) && l.Flags&ls.ValBlk != 0 {
		e.Reads = true
		if o.Valid {
			e.Value = slices.Clone(o.Value)
		}
	}
	l.Granted, l.Wanted, l.High, l.Bast = l.Wanted, ls.NoMode, ls.NoMode, l.Bast && !l.Dying
	l.Alternate, l.value = false, nil
	o.move(l, &o.Granted)
	o.Events = append(o.Events, e)
}

// refuse ends an operation without a grant.
func (o *Oracle) refuse(l *OracleLock, st wire.Status) {
	if st == wire.WouldBlock && l.Flags&ls.NoQueueBast != 0 {
		o.tell(o.Granted, l)
		o.tell(o.Convert, l)
	}
	l.Wanted, l.Bast = ls.NoMode, l.Bast && !l.Dying
	o.Events = append(o.Events, OracleEvent{Owner: l.Owner, ID: l.ID, Status: st, Mode: l.Granted, Demoted: l.Demoted})
	if l.Granted == ls.NoMode {
		o.move(l, nil)
	} else {
		o.move(l, &o.Granted)
	}
}

func (o *Oracle) write(flags uint32, value []byte) {
	switch {
	case flags&ls.IvValBlk != 0:
		o.Valid = false
	case flags&ls.ValBlk != 0 && value != nil:
		o.Value = append(slices.Clone(value), make([]byte, o.ValueLen-len(value))...)
		o.Valid = true
	}
}

// Pending grants what can be granted now, then tells the holders that block
// the rest (grant_pending_locks).
func (o *Oracle) Pending() {
	high, cw := o.grantConverts()
	for _, l := range slices.Clone(o.Waiting) {
		if granted, _ := o.try(l, false); granted {
			o.grant(l)
			continue
		}
		if high != ls.EX { // beside EX, CW says nothing more
			high, cw = higher(high, l.Wanted), cw || l.Wanted == ls.CW
		}
	}
	if high == ls.NoMode {
		return
	}
	for _, l := range o.Granted {
		mode := high
		due := rank(l.High) < rank(high) && !fits(l.Granted, high)
		if l.Granted == ls.PR && cw { // PR and CW exclude each other, and neither is higher
			due = rank(l.High) < rank(ls.EX)
			if high == ls.PR {
				mode = ls.CW
			}
		}
		if due && l.Bast {
			o.Events = append(o.Events, OracleEvent{Owner: l.Owner, ID: l.ID, Blocking: true, Mode: mode})
			l.High = high
		}
	}
}

// grantConverts grants conversions until none can be (grant_pending_convert).
// It gives the highest mode still waited for, and whether CW is among them.
func (o *Oracle) grantConverts() (high ls.Mode, cw bool) {
	for again, demotedAgain := true, false; again; {
		again, high, cw = false, ls.NoMode, false
		demoted := false
		for _, l := range slices.Clone(o.Convert) {
			was := l.Demoted
			granted, dead := o.try(l, false)
			switch {
			case granted:
				o.grant(l)
				again = true
			case dead && l.Flags&ls.NoDlckWt == 0: // the kernel leaves it
				o.refuse(l, wire.Deadlock)
				again = true
			case dead:
				if l.Bast && rank(l.High) < rank(l.Wanted) {
					o.Events = append(o.Events, OracleEvent{Owner: l.Owner, ID: l.ID, Blocking: true, Mode: l.Wanted})
					l.High = l.Wanted
				}
			case l.Demoted && !was:
				demoted = true
			default:
				high, cw = higher(high, l.Wanted), cw || l.Wanted == ls.CW
			}
		}
		if !again && demoted && !demotedAgain {
			again, demotedAgain = true, true
		}
	}
	return high, cw
}

// tell sends blocking callbacks to those in q that block l
// (send_blocking_asts).
func (o *Oracle) tell(q []*OracleLock, l *OracleLock) {
	for _, h := range q {
		due := rank(h.High) < rank(l.Wanted) && !fits(h.Granted, l.Wanted)
		if h.Granted == ls.PR && l.Wanted == ls.CW || h.Granted == ls.CW && l.Wanted == ls.PR {
			due = rank(h.High) < rank(ls.EX)
		}
		if h != l && h.Bast && due {
			o.Events = append(o.Events, OracleEvent{Owner: h.Owner, ID: h.ID, Blocking: true, Mode: l.Wanted})
			h.High = l.Wanted
		}
	}
}

// rank orders modes with NoMode as the lowest.
func rank(m ls.Mode) int {
	if m == ls.NoMode {
		return -1
	}
	return int(m)
}

func higher(a, b ls.Mode) ls.Mode {
	if rank(a) < rank(b) {
		return b
	}
	return a
}
