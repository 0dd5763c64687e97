package wire

import "fmt"

// What a receiver checks of a message's content, beyond its sizes. Values that
// only the tables of a node can judge (is this life known?) are not judged here.

const (
	maxMode   = 5                  // NL 0, CR 1, CW 2, PR 3, PW 4, EX 5
	knownSets = 1<<(maxMode+1) - 1 // bits of Since: one for each mode
	fChecked  = fMode | fStatus | fSince
)

// fixedValid judges Mode, Status and Since. A field that the type does not
// carry is zero, which is valid.
func (m *Msg) fixedValid(f field) bool {
	return m.modeValid(f) && m.Status <= lastStatus && m.Since&^knownSets == 0
}

func (m *Msg) modeValid(f field) bool {
	return m.Mode <= maxMode || m.Mode == NoMode && f&fNoMode != 0
}

// badFixed names what fixedValid found.
func (m *Msg) badFixed(f field) error {
	switch {
	case !m.modeValid(f):
		return fmt.Errorf("%w: mode %d in %v", ErrField, m.Mode, m.Type)
	case m.Status > lastStatus:
		return fmt.Errorf("%w: status %d in %v", ErrField, uint8(m.Status), m.Type)
	default:
		return fmt.Errorf("%w: set of modes %#x in %v", ErrField, m.Since, m.Type)
	}
}

// badName tells what is wrong with the name at the start of b, of which Decode
// knows only that something is.
func badName(t Type, b []byte) error {
	switch {
	case len(b) == 0:
		return fmt.Errorf("%w: %v ends before its name", ErrTruncated, t)
	case b[0] == 0:
		return fmt.Errorf("%w: %v has an empty name", ErrField, t)
	case b[0] > MaxName:
		return fmt.Errorf("%w: %v has a name of %d bytes, at most %d", ErrTooLarge, t, b[0], MaxName)
	default:
		return fmt.Errorf("%w: %v has %d of %d bytes of its name", ErrTruncated, t, len(b)-1, b[0])
	}
}

// check judges the modes of all records.
func (l LockList) check() error {
	for i := LockRecSize - 2; i < len(l); i += LockRecSize {
		if !lockModeValid(l[i]) || !lockModeValid(l[i+1]) {
			return fmt.Errorf("%w: modes %d and %d in lock record %d", ErrField, l[i], l[i+1], i/LockRecSize)
		}
	}
	return nil
}

func lockModeValid(mode uint8) bool { return mode <= maxMode || mode == NoMode }
