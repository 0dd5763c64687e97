package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
)

// This file answers what a node is asked for people. A shard is entered for a piece of the
// work at a time, so that nobody waits for a look.

// Query is a question to a node.
type Query struct {
	Kind    string   `json:"kind"` // LookName, ...
	Space   string   `json:"space"`
	Name    []byte   `json:"name,omitempty"`
	Locks   []uint64 `json:"locks,omitempty"`   // LookLocks: ids
	Parties []Party  `json:"parties,omitempty"` // LookLocks
	At      uint64   `json:"at,omitempty"`      // LookPage: Report.Next of the page before
	Most    int      `json:"most,omitempty"`    // LookPage: resources, 1 to MaxPage; else for each list
}

// The kinds of questions.
const (
	LookName  = "name"  // all about one name
	LookLocks = "locks" // about locks of the node that is asked, and what their owners have besides
	LookPage  = "page"  // names of a lockspace, some at a time
	LookTop   = "top"   // what goes on on the node and, if Space is given, which of its names are waited for
)

// MaxPage is the largest Query.Most, and what it is if it is 0.
const MaxPage = 256

// Party is who holds and waits as a whole: an owner (lockspace.Request.Owner) of the
// node that is asked or, where its locks have none, a session.
type Party struct {
	Owner   uint64 `json:"owner,omitempty"`
	Session uint64 `json:"session,omitempty"`
}

// Report is the answer. Lists are cut off at Query.Most; the totals count all.
type Report struct {
	Err       string                   `json:"err,omitempty"`
	Closed    bool                     `json:"closed,omitempty"`    // the lockspace is not open there
	Resources []lockspace.ResourceInfo `json:"resources,omitempty"` // LookName: none or one
	Queued    [3]int                   `json:"queued,omitempty"`    // LookName: all locks that are granted, convert, wait
	Locks     []LockReport             `json:"locks,omitempty"`     // LookLocks, in the order asked; those that are gone are missing
	Parties   []PartyReport            `json:"parties,omitempty"`   // LookLocks, in the order asked
	Now       int64                    `json:"now,omitempty"`       // LookPage: the clock of which lockspace.LockInfo.Since is
	Next      uint64                   `json:"next,omitempty"`      // LookPage: where to go on, 0: this was the last
	Top       *TopReport               `json:"top,omitempty"`       // LookTop
}

// LockReport is a lock as its owner's node knows it.
type LockReport struct {
	ID      uint64  `json:"id"`
	Name    []byte  `json:"name,omitempty"`
	Granted string  `json:"granted"`
	Wanted  string  `json:"wanted,omitempty"`
	Bytes   string  `json:"bytes,omitempty"` // what is wanted, if that is bytes of the name
	Owner   uint64  `json:"owner,omitempty"`
	Session uint64  `json:"session,omitempty"` // 0: a program in the node's process
	Client  string  `json:"client,omitempty"`  // what the session's client calls itself
	Remote  string  `json:"remote,omitempty"`  // where it connects from
	Orphan  bool    `json:"orphan,omitempty"`
	SinceS  float64 `json:"since_s,omitempty"` // how long it has been as it is, in seconds
	Dated   bool    `json:"dated,omitempty"`   // SinceS is known
}

// PartyReport is what a party has in the lockspace.
type PartyReport struct {
	Party
	Client string       `json:"client,omitempty"`
	Remote string       `json:"remote,omitempty"`
	Waits  []LockReport `json:"waits,omitempty"`
	Holds  []LockReport `json:"holds,omitempty"`
	Held   int          `json:"held,omitempty"` // all that it holds
}

// lookAt answers.
func (n *Node) lookAt(ctx context.Context, q *Query) (*Report, error) {
	if q.Most < 0 {
		return nil, fmt.Errorf("%w: at most %d in a list", ErrInvalid, q.Most)
	}
	if q.Kind == LookTop {
		top := n.lookTop(cmp.Or(q.Most, MaxPage))
		err := top.waited(ctx, n.Space(q.Space), cmp.Or(q.Most, MaxPage))
		return &Report{Top: top}, err
	}
	s := n.Space(q.Space)
	if s == nil {
		return &Report{Closed: true}, nil
	}
	switch q.Kind {
	case LookName:
		return s.lookName(q), nil
	case LookLocks:
		return s.lookLocks(ctx, q)
	case LookPage:
		return s.lookPage(q)
	}
	return nil, fmt.Errorf("%w: question %q", ErrInvalid, q.Kind)
}

func (s *Space) lookName(q *Query) *Report {
	out := &Report{}
	hash := lockspace.Hash(q.Name)
	s.runnerOf(q.Name, hash).wait(func(r *runner) {
		if i, ok := r.shard.Find(hash, q.Name); ok {
			out.Resources = append(out.Resources, i)
		}
	})
	for i := range out.Resources {
		for k, list := range []*[]lockspace.LockInfo{&out.Resources[i].Granted, &out.Resources[i].Convert, &out.Resources[i].Waiting} {
			out.Queued[k] = len(*list) + out.Resources[i].More[k]
			*list = (*list)[:min(len(*list), cmp.Or(q.Most, MaxPage))]
		}
	}
	return out
}

// lookPage gives the next names of a lockspace. A cursor is shard and place.
func (s *Space) lookPage(q *Query) (*Report, error) {
	out := &Report{Now: s.node.now()}
	most := cmp.Or(q.Most, MaxPage)
	at, number := uint32(q.At), int(q.At>>32)
	if most < 1 || most > MaxPage || number >= len(s.runners) {
		return nil, fmt.Errorf("%w: page of %d resources at %#x", ErrInvalid, most, q.At)
	}
	locks := 0
	for number < len(s.runners) && len(out.Resources) < most && locks < pageLocks {
		s.runners[number].wait(func(r *runner) {
			at = r.shard.Page(at, lookStep, func(i lockspace.ResourceInfo) bool {
				out.Resources = append(out.Resources, i)
				locks += len(i.Granted) + len(i.Convert) + len(i.Waiting)
				return len(out.Resources) < most && locks < pageLocks
			})
		})
		if at == 0 {
			number++
		}
	}
	if number < len(s.runners) {
		out.Next = uint64(number)<<32 | uint64(at)
	}
	return out, nil
}

const (
	lookStep  = 1024 // places of a shard that are looked at in one go
	pageLocks = 4096 // about as many locks are on a page at most
)

// lookLocks finds locks by id, and what else their parties have.
func (s *Space) lookLocks(ctx context.Context, q *Query) (*Report, error) {
	out := &Report{}
	for _, id := range q.Locks {
		shard := lockspace.ShardOfLock(id)
		if shard >= len(s.runners) {
			continue
		}
		s.runners[shard].wait(func(r *runner) {
			if o, ok := r.shard.FindOwn(id); ok {
				out.Locks = append(out.Locks, r.lockReport(&o))
			}
		})
	}
	most := cmp.Or(q.Most, MaxPage)
	out.Parties = make([]PartyReport, len(q.Parties))
	byParty := make(map[Party]*PartyReport, len(q.Parties))
	for i, p := range q.Parties {
		out.Parties[i].Party = p
		byParty[p] = &out.Parties[i]
	}
	if len(q.Parties) == 0 {
		return out, nil
	}
	for _, r := range s.runners {
		if err := r.lookParties(ctx, byParty, most); err != nil {
			return nil, err
		}
	}
	for i := range out.Parties {
		p := &out.Parties[i]
		p.Client, p.Remote = s.node.clientOf(cmp.Or(p.Session, p.Owner>>32))
	}
	return out, nil
}

// lookParties goes through all locks of this node, to find those of some parties.
func (r *runner) lookParties(ctx context.Context, parties map[Party]*PartyReport, most int) error {
	r.wait(func(r *runner) {
		for p, report := range parties {
			if p.Owner != 0 {
				r.shard.ByteWaits(p.Owner, func(name []byte, q *byterange.Request) {
					if len(report.Waits) < most {
						report.Waits = append(report.Waits, LockReport{
							Name: slices.Clone(name), Granted: lockspace.NoMode.String(), Wanted: q.Type.String(), Bytes: q.Range.String(), Owner: p.Owner, Session: p.Owner >> 32,
						})
					}
				})
			}
		}
	})
	for at, again := uint32(0), true; again; again = at != 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		r.wait(func(r *runner) {
			at = r.shard.PageOwn(at, lookStep, func(o lockspace.OwnLock) bool {
				p := parties[partyOf(&o)]
				if p == nil {
					return true
				}
				if o.Granted != lockspace.NoMode {
					if p.Held++; len(p.Holds) < most {
						p.Holds = append(p.Holds, r.lockReport(&o))
					}
				}
				if o.Wanted != lockspace.NoMode && len(p.Waits) < most {
					p.Waits = append(p.Waits, r.lockReport(&o))
				}
				return true
			})
		})
	}
	return nil
}

// partyOf says whose a lock is; zero: that is not known.
func partyOf(o *lockspace.OwnLock) Party {
	if o.Owner != 0 {
		return Party{Owner: o.Owner}
	}
	if sp, ok := o.User.(*sessionSpace); ok {
		return Party{Session: sp.session.id}
	}
	return Party{}
}

// lockReport describes a lock of this node, inside its shard.
func (r *runner) lockReport(o *lockspace.OwnLock) LockReport {
	l := LockReport{
		ID: o.ID, Name: slices.Clone(o.Name), Granted: o.Granted.String(), Owner: o.Owner, Orphan: o.Orphan,
		SinceS: max(0, time.Duration(r.node.now()-o.Since)).Seconds(), Dated: true,
	}
	if o.Wanted != lockspace.NoMode {
		l.Wanted = o.Wanted.String()
	}
	if sp, ok := o.User.(*sessionSpace); ok {
		s := sp.session
		l.Session, l.Client, l.Remote = s.id, s.name, s.conn.RemoteAddr()
	}
	return l
}

// clientOf says what the client of a session calls itself, and where it connects from.
func (n *Node) clientOf(session uint64) (name, remote string) {
	if session == 0 {
		return "", ""
	}
	for _, s := range n.allSessions() {
		if s.id == session {
			s.mu.Lock()
			greeted := s.greeted
			s.mu.Unlock()
			if greeted {
				return s.name, s.conn.RemoteAddr()
			}
		}
	}
	return "", ""
}
