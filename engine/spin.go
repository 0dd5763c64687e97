package engine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// spinner decides who may look for bytes again and again instead of sleeping. That
// costs a processor; being woken costs several microseconds, some tens where
// processors sleep. It is worth while as long as what is waited for mostly comes soon,
// and nobody else wants the processor: the score counts that.
type spinner struct {
	all     *atomic.Int32 // who spins in this process
	most    int32         // so many of them at once; 0: too few processors
	score   atomic.Int32  // 0: not worth while
	skipped atomic.Int32  // times that it was not tried since
}

// nodeSpinners and clientSpinners count those who spin at each kind of end.
var nodeSpinners, clientSpinners atomic.Int32

// woken counts calls of Woke.
var woken atomic.Uint32

// Woke is called by a handler that has made a goroutine of the program ready, as far as somebody may
// be in a hurry for that. It is to run next on this processor, which so belongs to nobody who
// lingers. Were others let run each time, that would wake a thread up for each request.
func Woke() { woken.Add(1) }

const (
	spinTime  = int64(50 * time.Microsecond) // at most; longer than it takes to wake the other end
	spinGap   = int64(30 * time.Microsecond) // without a look: somebody else had the processor
	spinScore = 16                           // the best score
	spinRest  = 16                           // with the worst: times that it is not tried
)

// Looks between two looks at the clock, a few microseconds.
const (
	memoryLooks = 2048
	socketLooks = 16 // each is a system call
)

// looker is what somebody waits for.
type looker interface {
	Ready() bool // or will never be
}

func (s *spinner) init(node bool) {
	s.all, s.most = &clientSpinners, int32(runtime.GOMAXPROCS(0)/2)
	if node {
		s.all = &nodeSpinners
	}
	s.score.Store(spinScore / 2)
}

// begin says that the caller may spin; then he must call end.
func (s *spinner) begin() bool {
	if s.most == 0 {
		return false
	}
	if s.score.Load() == 0 && s.skipped.Add(1) < spinRest {
		return false
	}
	s.skipped.Store(0)
	if s.all.Add(1) > s.most {
		s.all.Add(-1)
		return false
	}
	return true
}

func (s *spinner) end() { s.all.Add(-1) }

// await looks until there is something to read. false: it is not worth while to look
// any longer. For who has the reader's role.
//
// It does not offer the processor to other goroutines, which wakes a thread up each time:
// there is another processor, at which nobody spins.
func (s *spinner) await(e looker, looks int) bool {
	score := s.score.Load()
	var begin, last int64
	for i := 1; ; i++ {
		if e.Ready() {
			if score < spinScore {
				s.score.Store(score + 1)
			}
			return true
		}
		if i%looks != 0 {
			continue
		}
		now := nanos()
		if begin == 0 {
			begin, last = now, now
		}
		if now-last > spinGap || now-begin > spinTime {
			break
		}
		last = now
	}
	s.score.Store(max(score-2, 0))
	return false
}
