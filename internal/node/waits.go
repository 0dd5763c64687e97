package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Waits of clients that last long are looked for, not counted one by one: nothing is done
// for a request because it may come to wait.

// longWait is a request of a client that has waited for long.
type longWait struct {
	sp      *sessionSpace
	id, req uint64
}

// longest bounds how many of one client's waiting requests, and of all that have waited
// for long, are looked at in a round.
const (
	longestOfOne = 4096
	longestOfAll = 1000
)

// waits gives the requests of clients that have waited for d or more, the longest first,
// most at most, and how many there are.
func (n *Node) waits(d time.Duration, most int) (list []longWait, since map[longWait]time.Duration, all int) {
	since = map[longWait]time.Duration{}
	for _, s := range n.Spaces() {
		for _, sp := range s.clients() {
			sp.session.mu.Lock()
			left := longestOfOne
			for req, id := range sp.waiting {
				if left--; left < 0 {
					break
				}
				if ago := n.ticksAgo(sp.locks[id].at); ago >= d {
					since[longWait{sp, id, req}] = ago
				}
			}
			sp.session.mu.Unlock()
		}
	}
	for w := range since {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b longWait) int {
		return cmp.Or(cmp.Compare(since[b], since[a]), cmp.Compare(a.id, b.id))
	})
	return list[:min(most, len(list))], since, len(list)
}

// clients gives the sessions that have opened the lockspace.
func (s *Space) clients() (all []*sessionSpace) {
	s.conflicts.mu.Lock()
	defer s.conflicts.mu.Unlock()
	for l := range s.conflicts.listeners {
		if sp, ok := l.(*sessionSpace); ok {
			all = append(all, sp)
		}
	}
	return all
}

// watchWaits says which requests have come to wait for long, and which do no more.
func (n *Node) watchWaits() {
	list, since, _ := n.waits(n.cfg.LongWait, longestOfAll)
	now := map[longWait]time.Duration{}
	for _, w := range list {
		now[w] = since[w]
		if _, known := n.longWaits[w]; known {
			continue
		}
		o, ok := w.look()
		if !ok {
			delete(now, w) // it has ended by now
			continue
		}
		n.cfg.Logger.Warn("a request waits for long", "event", eventWaitLong, "lockspace", w.sp.space.name, "name", quoted(o.Name),
			"mode", o.Wanted.String(), "session", w.sp.session.id, "client", w.sp.session.name, "seconds", since[w].Seconds())
	}
	for w, waited := range n.longWaits {
		if _, still := now[w]; still || since[w] > 0 {
			continue
		}
		end, name := "given up", ""
		if o, ok := w.look(); ok {
			name = quoted(o.Name)
			if o.Granted != lockspace.NoMode {
				end = "granted"
			}
		}
		n.cfg.Logger.Info("a long wait has ended", "event", eventWaitEnd, "lockspace", w.sp.space.name, "name", name,
			"end", end, "session", w.sp.session.id, "client", w.sp.session.name, "seconds", waited.Seconds())
	}
	n.longWaits = now
}

// look gives the lock that is waited for, if it is still there.
func (w longWait) look() (o lockspace.OwnLock, ok bool) {
	shard := lockspace.ShardOfLock(w.id)
	w.sp.space.runners[shard].wait(func(r *runner) {
		if o, ok = r.shard.FindHandle(w.id); ok {
			o.Name = slices.Clone(o.Name)
		}
	})
	return o, ok
}
