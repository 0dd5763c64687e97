package node

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
)

// hotPiece is how many names a shard looks at before it lets others in: some 10 us.
const hotPiece = 4096

// Hot is a name of which this node is master and for which somebody waits.
type Hot struct {
	lockspace.ResourceInfo
	Waits int   // all that wait
	Since int64 // when the first of them began, by Now
}

// Hottest gives the most names, at most, for which most wait here, and how many there are
// for which somebody does. It holds up a shard for a moment at a time; the error is that
// of ctx.
func (s *Space) Hottest(ctx context.Context, most int) (top []Hot, all int, err error) {
	var found []lockspace.Contended
	for _, r := range s.runners {
		next := uint32(0)
		for more := true; more; more = next != 0 {
			if err := ctx.Err(); err != nil {
				return nil, 0, err
			}
			r.wait(func(r *runner) {
				next = r.shard.Contended(next, hotPiece, func(c lockspace.Contended) {
					all++
					c.Name = bytes.Clone(c.Name)
					found = append(found, c)
				})
			})
			found = hottest(found, most)
		}
	}
	for _, c := range found {
		s.runnerOf(c.Name, c.Hash).wait(func(r *runner) {
			if i, ok := r.shard.Find(c.Hash, c.Name); ok && len(i.Convert)+len(i.Waiting) != 0 {
				top = append(top, Hot{ResourceInfo: i, Waits: c.Waiting, Since: c.Since})
			} else {
				all-- // meanwhile nobody waits any more
			}
		})
	}
	return top, all, nil
}

// hottest keeps the first most of list, those with the most waiters first.
func hottest(list []lockspace.Contended, most int) []lockspace.Contended {
	slices.SortFunc(list, func(a, b lockspace.Contended) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(a.Since, b.Since), bytes.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), most)]
}
