package wire

import (
	"encoding/binary"
	"fmt"
)

// lifeSize is the encoded size of a Life in bytes.
const lifeSize = 16

// EntryList is a list of directory entries, a name and its master's life each,
// in encoded form; it is read in place.
type EntryList []byte

// Append encodes an entry behind l. name has 1 to MaxName bytes.
func (l EntryList) Append(name []byte, life Life) EntryList {
	l = append(append(l, byte(len(name))), name...)
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(l, life.Instance), life.Counter)
}

// Fits says that an entry for this name can be appended to l within MaxEntries.
func (l EntryList) Fits(name []byte) bool { return len(l)+1+len(name)+lifeSize <= MaxEntries }

// Next reads the first entry of a list that is not empty, and gives those
// behind it. The list has come from Decode or Append.
func (l EntryList) Next() (name []byte, life Life, rest EntryList) {
	n := 1 + int(l[0])
	le := binary.LittleEndian
	return l[1:n:n], Life{le.Uint64(l[n:]), le.Uint64(l[n+8:])}, l[n+lifeSize:]
}

// check judges that the entries fill the list and that their names have legal
// lengths.
func (l EntryList) check() error {
	for i := 0; i < len(l); {
		n := int(l[i])
		switch {
		case n == 0 || n > MaxName:
			return fmt.Errorf("%w: name of %d bytes in a directory entry", ErrField, n)
		case len(l)-i < 1+n+lifeSize:
			return fmt.Errorf("%w: directory entry", ErrTruncated)
		}
		i += 1 + n + lifeSize
	}
	return nil
}
