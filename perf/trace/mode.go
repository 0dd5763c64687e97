package trace

import "fmt"

// Mode is a lock mode in the kernel's numbers, which the wire format shares.
type Mode uint8

const (
	NL Mode = 0 // null
	CR Mode = 1 // concurrent read
	CW Mode = 2 // concurrent write
	PR Mode = 3 // protected read
	PW Mode = 4 // protected write
	EX Mode = 5 // exclusive

	// NoMode is the kernel's IV: no mode at all.
	NoMode Mode = 0xff
)

var modeNames = [...]string{"NL", "CR", "CW", "PR", "PW", "EX"}

func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	if m == NoMode {
		return "IV"
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// parseMode reads a mode; "IV" is taken only where a message may carry it.
func parseMode(s string, allowNone bool) (Mode, error) {
	for i, n := range modeNames {
		if s == n {
			return Mode(i), nil
		}
	}
	if s == "IV" && allowNone {
		return NoMode, nil
	}
	return NoMode, fmt.Errorf("mode %q", s)
}
