package lockspace

// ExpectMax is how many names Expect takes at once: as many as a processor waits for
// from memory at a time, more or less.
const ExpectMax = 16

// Expect says that messages about names with these hashes, ExpectMax at most, come next. Where
// there are more names than fit a processor's caches, each would wait for memory twice, for the
// slot in the table and for what it leads to; here they wait together. It changes nothing, and
// may be wrong.
func (s *Shard) Expect(hashes []uint64) {
	if len(hashes) > 1 && len(s.names.slots) > tableSparse {
		s.fetched += s.names.fetch(hashes)
	}
}

// fetch reads what find will look at. The sum is for the compiler, which leaves out reads of which
// nothing comes.
func (t *resTable) fetch(hashes []uint64) (sum uint64) {
	mask := uint32(len(t.slots) - 1)
	for _, h := range hashes {
		sum += uint64(t.slots[slotHash(h)&mask].at)
	}
	var found [ExpectMax]uint32
	for i, h := range hashes {
		found[i] = t.likely(slotHash(h))
	}
	for _, at := range found[:len(hashes)] {
		if at != 0 {
			sum += t.slab.at(at - 1).read()
		}
	}
	for _, at := range found[:len(hashes)] {
		if at != 0 {
			if c := t.slab.at(at - 1).claim; c != nil { // CONFIRM, most likely
				sum += c.num
			}
		}
	}
	return sum
}

// read reads all of r, which lies in some cache lines.
func (r *resource) read() uint64 {
	sum := r.hash + uint64(r.nameBuf[0]) + uint64(r.nameBuf[shortName-1])
	if r.claim != nil {
		sum++
	}
	return sum
}

// likely gives the first resource, as in resSlot, whose slot has this hash; 0: there is none.
func (t *resTable) likely(part uint32) uint32 {
	mask := uint32(len(t.slots) - 1)
	i := part & mask
	for t.slots[i].at != 0 && t.slots[i].hash != part {
		i = (i + 1) & mask
	}
	return t.slots[i].at
}
