package events

import (
	"sync"
	"time"
)

// Event is one thing that has happened.
type Event struct {
	Seq       uint64         `json:"seq"` // from 1, without gaps since the daemon's start
	Time      time.Time      `json:"time"`
	Kind      string         `json:"kind"`
	Level     string         `json:"level"` // DEBUG, INFO, WARN, ERROR
	Message   string         `json:"message"`
	Lockspace string         `json:"lockspace,omitempty"`
	Attrs     map[string]any `json:"attrs,omitempty"` // strings, numbers, booleans
}

// Ring has the last events.
type Ring struct {
	mu    sync.Mutex
	list  []Event // by Seq modulo its length
	last  uint64
	grown chan struct{} // closed with the next event; nil: nobody waits
}

// NewRing makes a ring for size events, at least 1.
func NewRing(size int) *Ring { return &Ring{list: make([]Event, size)} }

// add gives e its number.
func (r *Ring) add(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	e.Seq = r.last
	r.list[e.Seq%uint64(len(r.list))] = e
	if r.grown != nil {
		close(r.grown)
		r.grown = nil
	}
}

// Last gives the number of the last event, 0: there was none.
func (r *Ring) Last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// After gives the events behind number after, most at most, and how many of them are not
// there any more. grown is closed when there are further ones, not nil if list is empty.
func (r *Ring) After(after uint64, most int) (list []Event, missed uint64, grown <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if oldest := r.last - min(r.last, uint64(len(r.list))); after < oldest {
		missed, after = oldest-after, oldest
	}
	for ; after < r.last && len(list) < most; after++ {
		list = append(list, r.list[(after+1)%uint64(len(r.list))])
	}
	if len(list) == 0 {
		if r.grown == nil {
			r.grown = make(chan struct{})
		}
		grown = r.grown
	}
	return list, missed, grown
}
