package admin

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"github.com/lockify-dlm/lockify/internal/node"
)

// This file finds the names of a lockspace that are waited for, on whatever node they are
// mastered, and who is in whose way there.

// Waited are the names of one lockspace that somebody waits for.
type Waited struct {
	Lockspace Name         `json:"lockspace"`
	All       int          `json:"all"`   // those not listed included
	Names     []WaitedName `json:"names"` // the most waited for first, then what those wait for who hold them
}

// WaitedName is one of them. Of its locks not more than waitedLocks of each list are there.
type WaitedName struct {
	Name    Name         `json:"name"`
	Master  uint16       `json:"master"` // 0: none was found
	Waits   int          `json:"waits"`  // all that wait
	Holds   int          `json:"holds"`  // all that hold it
	WaitS   float64      `json:"wait_s"` // for how long the first has waited
	Holders []WaitedLock `json:"holders"`
	Waiters []WaitedLock `json:"waiters"` // in order, conversions first
}

// WaitedLock is a lock in the way, or one that is waited for.
type WaitedLock struct {
	ID      ID      `json:"id"`
	Node    uint16  `json:"node"`    // the owner's
	Session uint64  `json:"session"` // with owner: the program there, 0: one in the node's process
	Owner   uint64  `json:"owner"`   // who waits as a whole; 0: nobody has said
	Client  string  `json:"client"`  // what the program calls itself
	Granted string  `json:"granted"`
	Wanted  string  `json:"wanted"`
	AgeS    float64 `json:"age_s"` // how long it has been as it is; 0: not known
}

const (
	waitedNames = 8 // names whose locks are described, with those behind them
	waitedLocks = 16
)

// add adds what a node has said.
func (t *Waited) add(r *node.TopReport) {
	t.All += r.AllWaited
	for _, n := range r.Waited {
		t.Names = append(t.Names, WaitedName{Name: n.Name, Waits: n.Waits, WaitS: n.WaitS, Holders: []WaitedLock{}, Waiters: []WaitedLock{}})
	}
}

// explain finds who is in whose way at the names most waited for, and follows what those in
// the way wait for.
func (t *Waited) explain(ctx context.Context, w *why) {
	w.space = string(t.Lockspace)
	slices.SortFunc(t.Names, func(a, b WaitedName) int {
		return cmp.Or(cmp.Compare(b.Waits, a.Waits), cmp.Compare(b.WaitS, a.WaitS), bytes.Compare(a.Name, b.Name))
	})
	t.Names = t.Names[:min(topRows, len(t.Names))]
	todo := min(waitedNames, len(t.Names))
	for i := 0; i < todo; i++ {
		found := w.explain(ctx, string(t.Names[i].Name))
		t.Names[i].take(&found)
		for k := range found.Locks {
			for _, wait := range found.Locks[k].WaitsFor {
				at := slices.IndexFunc(t.Names, func(n WaitedName) bool { return bytes.Equal(n.Name, wait.Name) })
				switch {
				case todo == waitedNames, 0 <= at && at < todo:
				case at < 0:
					t.Names = slices.Insert(t.Names, todo, WaitedName{Name: wait.Name})
					todo++
				default:
					t.Names[todo], t.Names[at] = t.Names[at], t.Names[todo]
					todo++
				}
			}
		}
	}
}

// take takes what is known of the name's locks.
func (n *WaitedName) take(found *WhyName) {
	n.Master = found.Master
	n.Waits, n.Holds = found.Totals.Convert+found.Totals.Waiting, found.Totals.Granted+found.Totals.Convert
	n.Holders, n.Waiters = []WaitedLock{}, []WaitedLock{}
	for i := range found.Locks {
		l := &found.Locks[i]
		age := 0.0
		if l.SinceS != nil {
			age = *l.SinceS
		}
		lock := WaitedLock{l.ID, l.Node, l.Session, l.Owner, l.Client, l.Granted, l.Wanted, age}
		if l.Queue != "waiting" && len(n.Holders) < waitedLocks {
			n.Holders = append(n.Holders, lock)
		}
		if l.Queue != "granted" {
			n.WaitS = max(n.WaitS, age)
			if len(n.Waiters) < waitedLocks {
				n.Waiters = append(n.Waiters, lock)
			}
		}
	}
}
