package lockspace

// slab holds very many things of one kind, in pieces: they do not move, cost no more than
// their size, are numbered, and a walk over them goes through memory in order. The
// first piece is small, for lockspaces with little in them; the others fill whole pages
// whatever the size of a thing is.
type slab[T any] struct {
	first *[slabFirst]T
	rest  []*[slabPiece]T
	n     uint32
}

const (
	slabFirst = 64
	slabPiece = 1024
)

// add makes room for another one, whose number is the next. It never goes away.
func (b *slab[T]) add() *T {
	at := b.n
	b.n++
	switch {
	case at == 0:
		b.first = new([slabFirst]T)
	case at >= slabFirst && (at-slabFirst)%slabPiece == 0:
		b.rest = append(b.rest, new([slabPiece]T))
	}
	return b.at(at)
}

// at gives the one with a number.
func (b *slab[T]) at(at uint32) *T {
	if at < slabFirst {
		return &b.first[at]
	}
	at -= slabFirst
	return &b.rest[at/slabPiece][at%slabPiece]
}
