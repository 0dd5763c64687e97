package lockspace

// Contended is a name that somebody waits for, as its master sees it.
type Contended struct {
	Name    []byte // points into the shard
	Hash    uint64
	Waiting int   // requests and conversions in its queues
	Since   int64 // when the first of them began to wait; ns of the node's clock
}

// Contended calls f for the names mastered here that somebody waits for, from place at on,
// until n places have been looked at, and gives where to go on, 0: nowhere. It costs little
// where nobody waits. The shard must not be entered meanwhile; f may keep nothing.
func (s *Shard) Contended(at uint32, n int, f func(Contended)) (next uint32) {
	slab := &s.names.slab
	for ; at < slab.n && n > 0; n-- {
		r := slab.at(at)
		at++
		if r.state == freed || r.waiting.head == nil && r.convert.head == nil || !r.mastered() {
			continue
		}
		c := Contended{Name: r.name(), Hash: r.hash, Since: s.now}
		for _, q := range []*queue{&r.convert, &r.waiting} {
			for l := q.head; l != nil; l = l.next {
				c.Waiting++
				c.Since = min(c.Since, l.since)
			}
		}
		f(c)
	}
	if at >= slab.n {
		return 0
	}
	return at
}
