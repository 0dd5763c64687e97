package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

type missed []string

func (m *missed) OnMissed(times int, err error) { *m = append(*m, fmt.Sprint(times, " ", err)) }

// TestMisses: the handler hears once a second of all that was missed, and not of the end.
func TestMisses(t *testing.T) {
	var got missed
	m := misses{h: &got}
	begin := time.Now()
	for _, at := range []time.Duration{0, 1, missEvery - 1, missEvery, 2*missEvery - 1} {
		m.note(nil, begin.Add(at))
		m.note(ErrClosed, begin.Add(at))
		m.note(errors.New("full"), begin.Add(at))
	}
	if want := "[1 full 3 full]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	(&misses{}).note(errors.New("full"), begin) // nobody wants to know
}
