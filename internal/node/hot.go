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

// WaitedName is a name of which this node is master and for which somebody waits.
type WaitedName struct {
	Name  []byte  `json:"name"`
	Waits int     `json:"waits"`  // all that wait
	WaitS float64 `json:"wait_s"` // for how long the first of them has
}

// waited adds the most names, at most, for which most wait in s, nil: it is not open here. It
// holds up a shard for a moment at a time; the error is that of ctx.
func (t *TopReport) waited(ctx context.Context, s *Space, most int) error {
	if s == nil {
		return nil
	}
	var found []lockspace.Contended
	for _, r := range s.runners {
		next := uint32(0)
		for more := true; more; more = next != 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			r.wait(func(r *runner) {
				next = r.shard.Contended(next, hotPiece, func(c lockspace.Contended) {
					t.AllWaited++
					c.Name = bytes.Clone(c.Name)
					found = append(found, c)
				})
			})
			found = hottest(found, most)
		}
	}
	now := s.node.now()
	for _, c := range found {
		t.Waited = append(t.Waited, WaitedName{Name: c.Name, Waits: c.Waiting, WaitS: float64(max(0, now-c.Since)) / 1e9})
	}
	return nil
}

// hottest keeps the first most of list, those with the most waiters first.
func hottest(list []lockspace.Contended, most int) []lockspace.Contended {
	slices.SortFunc(list, func(a, b lockspace.Contended) int {
		return cmp.Or(cmp.Compare(b.Waiting, a.Waiting), cmp.Compare(a.Since, b.Since), bytes.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), most)]
}
