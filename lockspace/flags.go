package lockspace

import "github.com/lockify-dlm/lockify/wire"

// Request flags, with the kernel's numbers (include/uapi/linux/dlmconstants.h).
// Numbers from 1<<24 up are lockify's own. Of the kernel's, CANCEL (0x2) and
// CONVERT (0x4) are operations here, TIMEOUT (0x40000) is Shard.Deadline, and
// NODLCKBLK (0x200) means nothing in the kernel either.
const (
	NoQueue     uint32 = 0x1     // WouldBlock instead of waiting
	ValBlk      uint32 = 0x8     // read or write the lock value block
	QueCvt      uint32 = 0x10    // a conversion queues behind those that wait already
	IvValBlk    uint32 = 0x20    // the value becomes not valid
	ConvDeadlk  uint32 = 0x40    // resolve a conversion deadlock by demoting this lock to NL
	Persistent  uint32 = 0x80    // the lock stays when its program goes: Abandon
	NoDlckWt    uint32 = 0x100   // do not give up on a conversion deadlock
	Expedite    uint32 = 0x400   // grant a new NL lock whatever waits
	NoQueueBast uint32 = 0x800   // tell the holders even when NoQueue fails
	HeadQue     uint32 = 0x1000  // wait at the head of the queue
	OutOfOrder  uint32 = 0x2000  // NOORDER: grant as soon as the mode fits, whatever waits ahead
	Orphan      uint32 = 0x4000  // take over a lock whose program has gone
	AltPR       uint32 = 0x8000  // take PR where the mode asked for cannot be granted
	AltCW       uint32 = 0x10000 // likewise CW
	ForceUnlock uint32 = 0x20000 // unlock also while an operation waits

	NewName  uint32 = 1 << 24 // the caller has just created what the name stands for
	WantBast uint32 = 1 << 25 // the holder wants to hear whom it blocks

	Retire    uint32 = 1 << 26 // unlock, and end the name's life
	TestRange uint32 = 1 << 27 // byte ranges: ask what is in the way, lock nothing
)

const (
	bothFlags = NoQueue | ValBlk | Persistent | NoDlckWt | NoQueueBast | HeadQue | OutOfOrder | AltPR | AltCW | WantBast

	lockFlags    = bothFlags | Expedite | Orphan | NewName
	convertFlags = bothFlags | QueCvt | IvValBlk | ConvDeadlk
	unlockFlags  = ValBlk | IvValBlk | ForceUnlock

	alternates = AltPR | AltCW
	copyFlags  = lockFlags | convertFlags // what a copy of a lock may have
)

// Operation is what flags are given to.
type Operation uint8

// The operations, as a set.
const (
	OpLock    Operation = 1 << iota // a new lock
	OpConvert                       // another mode
	OpUnlock
)

func (o Operation) String() string {
	return map[Operation]string{OpLock: "lock", OpConvert: "convert", OpUnlock: "unlock"}[o]
}

// takes gives the flags that an operation knows.
func (o Operation) takes() uint32 {
	switch o {
	case OpLock:
		return lockFlags
	case OpConvert:
		return convertFlags
	}
	return unlockFlags
}

// kernelNames are the kernel's names, and lockify's own in the same style.
var kernelNames = []struct {
	flag uint32
	name string
}{
	{NoQueue, "NOQUEUE"}, {ValBlk, "VALBLK"}, {QueCvt, "QUECVT"}, {IvValBlk, "IVVALBLK"}, {ConvDeadlk, "CONVDEADLK"},
	{Persistent, "PERSISTENT"}, {NoDlckWt, "NODLCKWT"}, {Expedite, "EXPEDITE"}, {NoQueueBast, "NOQUEUEBAST"},
	{HeadQue, "HEADQUE"}, {OutOfOrder, "NOORDER"}, {Orphan, "ORPHAN"}, {AltPR, "ALTPR"}, {AltCW, "ALTCW"},
	{ForceUnlock, "FORCEUNLOCK"}, {NewName, "NEW"}, {WantBast, "WANTBAST"},
	{Retire, "RETIRE"},
}

// flagRule forbids flags that do not go together.
type flagRule struct {
	op     Operation // of these operations
	flag   uint32
	with   uint32 // together with these; 0: flag alone is refused
	modes  uint8  // for requests of these modes, 1<<mode
	why    string
	source string // kernel function (Linux 6.6 fs/dlm/lock.c), or lockify where the kernel takes them without a use
}

const allModes = 1<<NL | 1<<CR | 1<<CW | 1<<PR | 1<<PW | 1<<EX

// flagRules is what set_lock_args refuses, and what has no meaning here. Flags
// that an operation does not know at all need no rule; what these do know is
// set_unlock_args' list for unlock. QUECVT has a matrix of its own
// (validate_lock_args): quecvtAllowed.
var flagRules = []flagRule{
	{OpConvert, ConvDeadlk, NoQueue, allModes, "CONVDEADLK waits, NOQUEUE does not", "set_lock_args"},
	{OpLock, Expedite, NoQueue, allModes, "EXPEDITE never waits, NOQUEUE says nothing more", "set_lock_args"},
	{OpLock, Expedite, 0, allModes &^ (1 << NL), "EXPEDITE is for NL", "set_lock_args"},
	{OpLock, Orphan, NewName, allModes, "what an orphan holds is not NEW", "lockify"},
}

// ruledFlags are those that have a rule.
const ruledFlags = ConvDeadlk | Expedite | Orphan

// plainFlags need no look at the rules for a new lock.
const plainFlags = lockFlags &^ ruledFlags

// brokenRule gives the rule that flags break, nil if none.
func brokenRule(op Operation, mode Mode, flags uint32) *flagRule {
	if flags&ruledFlags == 0 {
		return nil
	}
	for i := range flagRules {
		f := &flagRules[i]
		if f.op&op != 0 && flags&f.flag != 0 && flags&f.with == f.with && f.modes>>mode&1 != 0 {
			return f
		}
	}
	return nil
}

// checkRequest judges what can be judged of a request without its lock.
func checkRequest(op Operation, mode Mode, flags uint32) Status {
	switch {
	case !mode.Valid():
		return wire.BadMode
	case flags&^op.takes() != 0, brokenRule(op, mode, flags) != nil:
		return wire.BadFlags
	}
	return wire.OK
}
