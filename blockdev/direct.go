package blockdev

// Direct is a Device whose content is in memory that can be read and written in place of
// a copy, such as by a system call.
type Direct interface {
	Device
	// Borrow gives the memory of n bytes at off, which must be within the device: to be
	// read, or written if write says so. Requests and other borrowers that are in the way
	// of that wait until Return, so what is done in between is one step. It is for
	// a short time: who has borrowed must neither borrow more nor use a ring of the
	// device before Return. nil: it can't be had.
	Borrow(off int64, n int, write bool) []byte
	// Return ends the use of what Borrow has given for the same arguments.
	Return(off int64, n int, write bool)
}

// span gives the locks of a range, in the order in which they are taken; there are at
// most two, for what is no longer than a region.
func (m *Memory) span(off int64, n int) (first, second int, two bool) {
	first, second = int(off/memRegion%memLocks), int((off+int64(n)-1)/memRegion%memLocks)
	return min(first, second), max(first, second), first != second
}

// Borrow gives memory of the device, up to 1 MiB.
func (m *Memory) Borrow(off int64, n int, write bool) []byte {
	if n > memRegion || m.closed.Load() {
		return nil
	}
	first, second, two := m.span(off, n)
	if write {
		m.locks[first].Lock()
		if two {
			m.locks[second].Lock()
		}
	} else {
		m.locks[first].RLock()
		if two {
			m.locks[second].RLock()
		}
	}
	return m.data[off:][:n:n]
}

// Return ends the use of what was borrowed.
func (m *Memory) Return(off int64, n int, write bool) {
	first, second, two := m.span(off, n)
	if write {
		m.locks[first].Unlock()
		if two {
			m.locks[second].Unlock()
		}
		return
	}
	m.locks[first].RUnlock()
	if two {
		m.locks[second].RUnlock()
	}
}
