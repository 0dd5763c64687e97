package chaos

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify"
)

// kind says what happened to a lock.
type kind uint8

const (
	acquire kind = iota // it was granted
	convert             // its mode has changed
	release             // its holder has given it up
	lose                // it was lost
)

func (k kind) String() string { return [...]string{"lock", "convert", "unlock", "lost"}[k] }

// op is one thing that happened to a lock, at some moment from Call to Return. What
// was refused, or withdrawn before it was granted, is none.
type op struct {
	Kind kind
	Name string
	Lock uint32 // which lock; each acquire begins one
	Lane int    // who did it: one thing at a time
	Node int

	From, Mode lockify.Mode // before; asked for and granted
	Token      uint64       // of acquire, and of a conversion
	Read       bool         // the value was asked for: Value is what came, Valid says whether it counts
	Valid      bool
	Write      bool   // Value was written; of lose: it may have been
	Value      string // no "|" in it
	Killed     bool   // of lose: its daemon was killed, while nothing was under way on the lock

	// From when it can have happened to when, in ns since the run began. For a
	// lock that was lost: when its holder last knew that it was valid, and when
	// it had heard the contrary.
	Call, Return int64
}

func (o *op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s #%d", o.Kind, o.Lock)
	switch o.Kind {
	case acquire:
		fmt.Fprintf(&b, " %s", o.Mode)
	case convert:
		fmt.Fprintf(&b, " %s>%s", o.From, o.Mode)
	default:
		fmt.Fprintf(&b, " %s", o.From)
	}
	if o.Token != 0 {
		fmt.Fprintf(&b, " token %d:%d", o.Token>>tokenCounterBits, o.Token&(1<<tokenCounterBits-1))
	}
	switch {
	case o.Write && o.Kind == lose:
		fmt.Fprintf(&b, " perhaps wrote %q", o.Value)
	case o.Write:
		fmt.Fprintf(&b, " wrote %q", o.Value)
	case o.Read && o.Valid:
		fmt.Fprintf(&b, " read %q", o.Value)
	case o.Read:
		b.WriteString(" read no valid value")
	}
	if o.Killed {
		b.WriteString(" (killed)")
	}
	return b.String()
}

// tokenCounterBits is how much of a token counts within an epoch; only for people.
const tokenCounterBits = 40

// span is a piece of time, in ns since the run began.
type span struct{ from, to int64 }

// history is what has happened in a run.
type history struct {
	start time.Time

	mu     sync.Mutex
	ops    map[string][]op // by name
	locks  uint32
	grants []grant // all, in the order of their ends
}

// grant is that a lock or conversion was granted at a node.
type grant struct {
	at   int64
	node int
}

func newHistory() *history { return &history{start: time.Now(), ops: map[string][]op{}} }

// now gives the time in ns since the run began.
func (h *history) now() int64 { return int64(time.Since(h.start)) }

// newLock numbers a lock.
func (h *history) newLock() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.locks++
	return h.locks
}

func (h *history) add(o *op) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops[o.Name] = append(h.ops[o.Name], *o)
	if o.Kind == acquire || o.Kind == convert {
		h.grants = append(h.grants, grant{o.Return, o.Node})
	}
}
