package lockify

import (
	"slices"

	"github.com/lockify-dlm/lockify/wire"
)

// Conflict is a wrong New: the name was in use on another node while this one
// took it for new. Both may have worked under it at the same time.
type Conflict struct {
	Space  *Lockspace
	Name   string
	Master uint16 // the node that the name belongs to; 0: not known, it has given the name up since
}

// OnConflict has f called for each name that the node of this program or client
// has taken for new (New) and that was not: by whichever of its programs, and
// also if nobody holds a lock on it any more, so that there is none to be Lost.
// What was done under the name since it was created is suspect. Calls for one
// client come one at a time, together with those of OnBlocking. The node counts
// them, too (lockspace.Stats.ClaimsLost).
func OnConflict(f func(Conflict)) SpaceOption { return SpaceOption{conflict: f} }

// conflictOption gives the last OnConflict, nil if there is none.
func conflictOption(opts []SpaceOption) (f func(Conflict)) {
	for _, o := range opts {
		if o.conflict != nil {
			f = o.conflict
		}
	}
	return f
}

// conflicted gives a call of the program.
func (s *Lockspace) conflicted(name string, master uint16) call {
	return call{f: func(error) { s.conflict(Conflict{s, name, master}) }}
}

// conflictEar is a Lockspace as the node in this process sees it.
type conflictEar struct{ s *Lockspace }

func (e conflictEar) Conflict(name []byte, master uint16) {
	e.s.calls.add(e.s.conflicted(string(name), master))
}

// listen has a lockspace hear of conflicts in this session.
func (s *Session) listen(at *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.ears[at.space] = append(s.ears[at.space], at.r)
	}
}

func (s *Session) deaf(at *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.ears[at.space] = slices.DeleteFunc(s.ears[at.space], func(o *remote) bool { return o == at.r })
	}
}

// conflict tells those who listen.
func (s *Session) conflict(space uint32, m *wire.Msg, todo *callList) {
	s.mu.Lock()
	ears := slices.Clone(s.ears[space])
	s.mu.Unlock()
	for _, r := range ears {
		todo.add(r.ls.conflicted(string(m.Name), uint16(m.Num)))
	}
}
