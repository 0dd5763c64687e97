package sim

import (
	"github.com/lockify-dlm/lockify/lockspace"
)

// name is what is known of a resource name in a run.
type name struct {
	num      int // place among the run's names
	text     string
	bytes    []byte
	hash     uint64
	route    uint64 // chooses directory node and shard
	knownBy  uint64 // set of node ids whose programs have heard of it
	lanes    []*lane
	locks    []*lock            // alive
	ghosts   []*ghost           // of dead nodes
	children []*name            // published below this name
	writes   []writeRec         // of the value; number i writes value(i+1)
	tainted  string             // why values and tokens of this name may be wrong
	free     []*name            // names that may be created again, under this one
	retiring *retireCall        // its deleter waits for the end
	spoiled  bool               // nobody knows how that went
	root     bool               // all know it from the start
	touched  bool               // in this step
	ranged   bool               // byte ranges have been locked
	posts    *[byteSpan][]*name // by byte: posted by those that had it write locked
}

// writeRec is a write of a lock value block.
type writeRec struct {
	mode    lockspace.Mode // held by the writer
	invalid bool           // an invalidation
	claimed bool           // under a claim that may be wrong: it need not last
	child   *name          // published with the value; nil: none
}

// nameOf finds a name by its text, or makes it.
func (r *run) nameOf(text string) *name {
	nm := r.names[text]
	if nm == nil {
		nm = &name{num: len(r.order), text: text, bytes: []byte(text), hash: lockspace.Hash([]byte(text))}
		nm.route = r.rule.Route(nm.bytes, nm.hash)
		r.names[text] = nm
		r.order = append(r.order, nm)
	}
	return nm
}

// touch notes that a step has to do with a name.
func (r *run) touch(nm *name) {
	if !nm.touched {
		nm.touched = true
		r.touched = append(r.touched, nm)
	}
}

// prune forgets locks that are gone.
func (nm *name) prune() {
	keep := nm.locks[:0]
	for _, l := range nm.locks {
		if !l.gone {
			keep = append(keep, l)
		}
	}
	clear(nm.locks[len(keep):])
	nm.locks = keep
}
