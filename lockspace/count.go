package lockspace

// This file counts the locks of names that have many, by mode. Few names have: so nothing
// is kept for the others, but for a bit that says so.

// countFrom is how many locks of a name are looked at one by one, each time, before they
// are counted. Tests have fewer.
var countFrom = 16

// modeCounts are the locks in granted and convert, by the mode that they hold; what a peer
// has sent may be none.
type modeCounts [8]uint32

// countModes counts those of r, which from now on keep the counts up to date themselves
// (Lock.count), until none is left.
func (s *Shard) countModes(r *resource) {
	x := s.rarely(r)
	x.modes = modeCounts{}
	for _, q := range [...]*queue{&r.granted, &r.convert} {
		for l := q.head; l != nil; l = l.next {
			x.modes[l.granted&7]++
		}
	}
	r.traits.set(counted, true)
}

// count notes that l, on a name whose locks are counted, has come into its queue, or
// leaves it.
func (l *Lock) count(change int) {
	if !l.counted() {
		return
	}
	c := &l.res.modes
	c[l.granted&7] += uint32(change)
	if change < 0 && *c == (modeCounts{}) {
		l.res.traits.set(counted, false)
	}
}

// counted says that l is where locks are counted.
func (l *Lock) counted() bool { return l.in == inGranted || l.in == inConvert }

// hold has l hold another mode, in whatever queue it is; of that it may be told.
func (l *Lock) hold(mode Mode) {
	if l.res.traits.has(counted) && l.counted() {
		l.res.modes[l.granted&7]--
		l.res.modes[mode&7]++
	}
	l.granted = mode
	l.hears()
}

// exclude says whether any lock but l holds a mode that excludes the one l wants.
func (c *modeCounts) exclude(l *Lock) bool {
	for m := NL; m <= EX; m++ {
		n := c[m]
		if m == l.granted && l.counted() {
			n--
		}
		if n != 0 && !Compatible(m, l.wanted) {
			return true
		}
	}
	return false
}
