package lockspace

import (
	"fmt"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// This file says in words what is wrong with a request that is refused at once.

// Refused is a request that came to nothing, as Explain needs it.
type Refused struct {
	Op    Operation
	Name  []byte // of a new lock; a range key
	Lock  uint64 // id of the lock that was meant
	Mode  Mode
	Flags uint32
	Value int // bytes
}

// Explain says in words what was wrong with a request that failed with st at
// once; "" where the status says all there is to say.
func (s *Shard) Explain(st Status, q *Refused) string {
	switch st {
	case wire.BadName:
		return fmt.Sprintf("name of %d bytes, must be 1 to %d", len(q.Name), wire.MaxName)
	case wire.BadMode:
		return fmt.Sprintf("mode %d, must be NL to EX (0 to 5)", q.Mode)
	case wire.BadValue:
		return fmt.Sprintf("value of %d bytes, at most %d", q.Value, s.cfg.ValueLen)
	case wire.BadFlags:
		return explainFlags(q)
	case wire.BadKey:
		return fmt.Sprintf("%q; the lockspace's range keys: %v", q.Name, s.cfg.Range)
	case wire.NoLock, wire.NotOwner:
		return fmt.Sprintf("lock %#x", q.Lock)
	}
	return ""
}

func explainFlags(q *Refused) string {
	if q.Op == OpUnlock && q.Flags&Retire != 0 {
		return "RETIRE is for a lock in EX, and goes with VALBLK and IVVALBLK only"
	}
	if bad := q.Flags &^ q.Op.takes(); bad != 0 {
		for _, f := range kernelNames {
			if f.flag&bad != 0 {
				return fmt.Sprintf("%s takes no %s", q.Op, f.name)
			}
		}
		return fmt.Sprintf("unknown flags %#x", bad)
	}
	if f := brokenRule(q.Op, q.Mode, q.Flags); f != nil {
		return f.why
	}
	return fmt.Sprintf("QUECVT to %s, which is not stronger than what is held", q.Mode)
}

// check finds what no request for bytes may have.
func (q *ByteRequest) check() Status {
	switch {
	case q.Owner == 0:
		return wire.BadOwner
	case q.Type > byterange.Write:
		return wire.BadMode
	case !q.Range.Valid():
		return wire.BadBytes
	case q.Flags&^byteFlags != 0, q.Type == byterange.None && q.Flags != 0:
		return wire.BadFlags
	}
	return wire.OK
}

// Explain is Shard.Explain for a request that Bytes has refused with st.
func (q *ByteRequest) Explain(st Status) string {
	switch st {
	case wire.BadOwner:
		return fmt.Sprintf("owner %d, must be above 0", q.Owner)
	case wire.BadMode:
		return fmt.Sprintf("type %d, must be none, read or write (0 to 2)", uint8(q.Type))
	case wire.BadBytes:
		return fmt.Sprintf("first byte %d, last byte %d", q.Range.Start, q.Range.End)
	case wire.BadFlags:
		if q.Type == byterange.None {
			return fmt.Sprintf("an unlock takes no flags, not %#x", q.Flags)
		}
		return fmt.Sprintf("unknown flags %#x", q.Flags&^byteFlags)
	case wire.NoLock, wire.NotOwner:
		return fmt.Sprintf("lock %#x", q.Lock)
	}
	return ""
}
