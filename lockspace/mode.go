package lockspace

import "github.com/lockify-dlm/lockify/wire"

// Mode is a lock mode. The order is the kernel's (include/uapi/linux/dlmconstants.h).
type Mode uint8

const (
	NL Mode = 0 // null: interest only
	CR Mode = 1 // concurrent read
	CW Mode = 2 // concurrent write
	PR Mode = 3 // protected read (shared)
	PW Mode = 4 // protected write (update)
	EX Mode = 5 // exclusive

	NoMode Mode = Mode(wire.NoMode) // the kernel's IV: nothing granted, or nothing requested
)

var modeNames = [...]string{"NL", "CR", "CW", "PR", "PW", "EX"}

// String gives the two-letter name, "--" for NoMode.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "--"
}

// Valid says that m is one of the six modes.
func (m Mode) Valid() bool { return m <= EX }

// ParseMode reads a two-letter mode name in upper or lower case.
func ParseMode(s string) (Mode, bool) {
	for i, n := range modeNames {
		if len(s) == 2 && s[0]&^0x20 == n[0] && s[1]&^0x20 == n[1] {
			return Mode(i), true
		}
	}
	return NoMode, false
}

// compatible[a] is the set of modes (1<<mode) that may be granted beside a.
// Source: __dlm_compat_matrix, Linux fs/dlm/lock.c.
var compatible = [6]uint8{
	NL: 1<<NL | 1<<CR | 1<<CW | 1<<PR | 1<<PW | 1<<EX,
	CR: 1<<NL | 1<<CR | 1<<CW | 1<<PR | 1<<PW,
	CW: 1<<NL | 1<<CR | 1<<CW,
	PR: 1<<NL | 1<<CR | 1<<PR,
	PW: 1<<NL | 1<<CR,
	EX: 1 << NL,
}

// Compatible says whether a and b may be granted together.
func Compatible(a, b Mode) bool {
	return a == NoMode || b == NoMode || compatible[a]>>b&1 == 1
}

// covers says that what excludes b excludes m, too: what may be beside m may be beside b.
func (m Mode) covers(b Mode) bool {
	return m != NoMode && b != NoMode && compatible[m]&^compatible[b] == 0
}

// quecvtAllowed[from] is the set of modes to which a conversion may ask for
// QUECVT. Source: __quecvt_compat_matrix, Linux fs/dlm/lock.c.
var quecvtAllowed = [6]uint8{
	NL: 1<<CR | 1<<CW | 1<<PR | 1<<PW | 1<<EX,
	CR: 1<<CW | 1<<PR | 1<<PW | 1<<EX,
	CW: 1<<PR | 1<<PW | 1<<EX,
	PR: 1<<CW | 1<<PW | 1<<EX,
	PW: 1 << EX,
	EX: 0,
}

// valueOp is what a grant does with the lock value block.
type valueOp int8

const (
	valueNone  valueOp = -1
	valueWrite valueOp = 0 // the caller's value becomes the resource's
	valueRead  valueOp = 1 // the resource's value is returned
)

// valueOps[granted+1][requested] with NoMode as row 0.
// Source: dlm_lvb_operations, Linux fs/dlm/lock.c.
var valueOps = [7][6]valueOp{
	{1, 1, 1, 1, 1, 1},    // nothing granted
	{1, 1, 1, 1, 1, 1},    // NL
	{-1, 1, 1, 1, 1, 1},   // CR
	{-1, -1, 1, 1, 1, 1},  // CW
	{-1, -1, -1, 1, 1, 1}, // PR
	{0, 0, 0, 0, 0, 1},    // PW
	{0, 0, 0, 0, 0, 0},    // EX
}

func valueOpOf(granted, requested Mode) valueOp {
	if granted == NoMode {
		return valueOps[0][requested]
	}
	return valueOps[granted+1][requested]
}

// middle says that a conversion is neither up nor down.
func middle(from, to Mode) bool { return from == PR && to == CW || from == CW && to == PR }

// exclusive says that a grant of m starts a new link of the token chain.
func exclusive(m Mode) bool { return m == PW || m == EX }
