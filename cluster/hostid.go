package cluster

import "encoding/binary"

// HostID gives the UUID as which an instance of a node, and the programs that hold locks
// there, are known to disks: one that was never used before, so that what is refused to
// an instance is not allowed again by the next one of the same node. Its form is
//
//	CCCCCCCC-CCCC-8000-8000-NNNN6c6f636b
//
// with the instance's count C and the node's id N (version 8: of our own making).
func HostID(instance uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], instance>>16<<16|0x8000)
	binary.BigEndian.PutUint16(id[8:], 0x8000)
	binary.BigEndian.PutUint16(id[10:], NodeOf(instance))
	copy(id[12:], "lock")
	return id
}
