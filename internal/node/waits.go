package node

import (
	"cmp"
	"context"
	"log/slog"
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
	// Of one of which it has been said that it waits.
	name   string // quoted
	wanted lockspace.Mode
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
					since[longWait{sp: sp, id: id, req: req}] = ago
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
	n.countWaits(since)
	said := map[longWait]longWait{} // by what identifies it
	for w := range n.longWaits {
		said[longWait{sp: w.sp, id: w.id, req: w.req}] = w
	}
	now := map[longWait]time.Duration{}
	for _, w := range list {
		if known, ok := said[w]; ok {
			now[known] = since[w]
			continue
		}
		o, ok := w.look()
		if !ok || o.Wanted == lockspace.NoMode {
			continue // it has ended by now
		}
		ago := since[w]
		w.name, w.wanted = quoted(o.Name), o.Wanted
		now[w] = ago
		w.say(slog.LevelWarn, "a request waits for long", ago, "event", eventWaitLong)
	}
	for id, w := range said {
		if _, still := since[id]; !still {
			o, there := w.look()
			w.say(slog.LevelInfo, "a long wait has ended", n.longWaits[w], "event", eventWaitEnd, "end", w.end(o, there))
		}
	}
	n.longWaits = now
}

// countWaits notes how many there are in each lockspace.
func (n *Node) countWaits(since map[longWait]time.Duration) {
	count := map[*Space]int32{}
	for w := range since {
		count[w.sp.space]++
	}
	for _, s := range n.Spaces() {
		s.longWaits.Store(count[s])
	}
}

// say logs what there is to say about a request.
func (w longWait) say(level slog.Level, what string, waited time.Duration, more ...any) {
	w.sp.space.node.cfg.Logger.Log(context.Background(), level, what, append(more, "lockspace", w.sp.space.name, "name", w.name,
		"mode", w.wanted.String(), "session", w.sp.session.id, "client", w.sp.session.name, "seconds", waited.Seconds())...)
}

// end tells how a wait has ended, from the lock that it was for, if that is there still. A
// lock that has gone may have been granted and unlocked meanwhile.
func (w longWait) end(o lockspace.OwnLock, there bool) string {
	switch {
	case there && o.Granted == w.wanted:
		return "granted"
	case there && o.Granted == lockspace.NoMode:
		return "given up"
	}
	return "over"
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
