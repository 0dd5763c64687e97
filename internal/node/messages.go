package node

import (
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// messages are those of a frame, taken one by one. The names of some are read ahead, so that a
// shard can be told what it will look for.
type messages struct {
	payload []byte
	off     int                         // of the next message
	hashes  [lockspace.ExpectMax]uint64 // of the next names
	at, n   int                         // the first of them not taken yet, and how many there are
}

// left says whether there is another one.
func (f *messages) left() bool { return f.off < len(f.payload) }

// next decodes the next one, and gives the hash of its name, if it has one. m points into the
// payload.
func (f *messages) next(m *wire.Msg) (hash uint64, err error) {
	size, err := m.Decode(f.payload[f.off:])
	if err != nil {
		return 0, err
	}
	if m.Type.Named() {
		if f.at == f.n {
			f.readAhead()
		}
		hash = f.hashes[f.at]
		f.at++
	}
	f.off += size
	return hash, nil
}

// readAhead hashes the names of the messages from off on, of which the first has one.
func (f *messages) readAhead() {
	f.at, f.n = 0, 0
	for b := f.payload[f.off:]; f.n < len(f.hashes); f.n++ {
		name, rest := wire.NameAt(b)
		if name == nil {
			return
		}
		f.hashes[f.n] = lockspace.Hash(name)
		b = rest
	}
}

// tell lets the shard of the message taken last know what comes next. Mostly that is all its own.
func (f *messages) tell(s *lockspace.Shard) {
	if f.at == 1 { // it is the first of those that were read ahead
		s.Expect(f.hashes[:f.n])
	}
}
