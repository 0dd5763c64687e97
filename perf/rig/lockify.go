package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/wire"
)

const (
	clusterName = "lockbench"
	spaceName   = "lockbench"
	startTime   = 30 * time.Second // for a cluster to be there
)

// openEmbedded starts a node in this process.
func openEmbedded(ctx context.Context, o *Order) (*system, error) {
	c := lockify.Config{ID: 1, Cluster: clusterName, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if n := o.Node; n != nil {
		c.ID, c.Listen = uint16(n.ID), n.Addrs[n.ID-1]
		for i, addr := range n.Addrs {
			if i+1 != n.ID {
				c.Peers = append(c.Peers, lockify.Peer{ID: uint16(i + 1), Addr: addr, Delay: n.Delay})
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	node, err := lockify.StartNode(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &system{close: func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		node.Close(ctx)
	}}
	if err := node.Ready(ctx); err != nil {
		s.close()
		return nil, fmt.Errorf("node %d: waiting for the others: %w", c.ID, err)
	}
	space, err := node.Open(ctx, spaceName)
	if err != nil {
		s.close()
		return nil, err
	}
	s.Service = lanes(o, func() load.Lane { return newLockLane(o, space) })
	if o.Cache {
		cache := newCache(space)
		s.Service = lanes(o, func() load.Lane { return newCacheLane(o, cache) })
	}
	var before Round
	s.mark = func() { before = sent(node) }
	s.round = func(r *Round) {
		now := sent(node)
		r.Claims, r.Frames = now.Claims-before.Claims, now.Frames-before.Frames
	}
	return s, nil
}

// sent gives what a node has sent up to now.
func sent(node *lockify.Node) (r Round) {
	st := node.Stats()
	for _, l := range st.Links {
		r.Frames += l.FramesOut
	}
	for _, sp := range st.Spaces {
		r.Claims += sp.Sent[wire.Notify]
	}
	return r
}

func options(o *Order) []lockify.Option {
	if o.New {
		return []lockify.Option{lockify.New()}
	}
	return nil
}

// openClient opens o.Clients clients, each at the next address. Where there are enough of
// them, each lock under way waits in a goroutine, and its lane uses its clients in turn;
// more are under way without goroutines of their own.
func openClient(ctx context.Context, o *Order) (*system, error) {
	var clients []*lockify.Client
	s := &system{close: func() {
		for _, c := range clients {
			c.Close()
		}
	}}
	var spaces []*lockify.Lockspace
	for i := range max(o.Clients, 1) {
		c, err := lockify.Dial(ctx, o.Addrs[i%len(o.Addrs)], lockify.OneSession())
		if err != nil {
			s.close()
			return nil, fmt.Errorf("client %d: %w", i+1, err)
		}
		clients = append(clients, c)
		space, err := c.Open(ctx, spaceName)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("client %d: %w", i+1, err)
		}
		spaces = append(spaces, space)
	}
	if o.Depth <= len(spaces) {
		n := 0
		s.Service = lanes(o, func() load.Lane {
			l := newLockLane(o)
			for i := n; i < len(spaces); i += o.Depth {
				l.spaces = append(l.spaces, spaces[i])
			}
			n++
			return l
		})
		return s, nil
	}
	s.Async, s.Slots = newLockSlots(spaces, o), o.Depth
	return s, nil
}

// lockLane locks one name after the other.
type lockLane struct {
	spaces []*lockify.Lockspace // used in turn
	next   int
	opts   []lockify.Option
	held   []*lockify.Lock
	_      perf.CacheLine // nobody else's
}

func newLockLane(o *Order, spaces ...*lockify.Lockspace) *lockLane {
	return &lockLane{spaces: spaces, opts: options(o), held: make([]*lockify.Lock, 0, perf.LineWords)}
}

func (l *lockLane) Acquire(ctx context.Context, names []string) error {
	l.held = l.held[:0]
	space := l.spaces[l.next]
	if l.next++; l.next == len(l.spaces) {
		l.next = 0
	}
	for _, name := range names {
		lock, err := space.Lock(ctx, name, lockify.EX, l.opts...)
		if err != nil {
			return err
		}
		l.held = append(l.held, lock)
	}
	return nil
}

func (l *lockLane) Release(ctx context.Context) error {
	var err error
	for _, lock := range l.held {
		err = errors.Join(err, lock.Unlock(ctx))
	}
	return err
}

// lockSlots has a lock under way in each slot.
type lockSlots struct {
	slots []lockSlot
	opts  []lockify.Option
}

type lockSlot struct {
	space   *lockify.Lockspace
	lock    *lockify.Lock
	granted func(*lockify.Lock, error)
	done    func(error)
}

func newLockSlots(spaces []*lockify.Lockspace, o *Order) *lockSlots {
	v := &lockSlots{slots: make([]lockSlot, o.Depth), opts: options(o)}
	for i := range v.slots {
		s := &v.slots[i]
		s.space = spaces[i%len(spaces)]
		s.granted = func(l *lockify.Lock, err error) {
			s.lock = l
			s.done(err)
		}
	}
	return v
}

func (v *lockSlots) Acquire(slot int, name string, done func(error)) {
	s := &v.slots[slot]
	s.done = done
	s.space.LockAsync(name, lockify.EX, s.granted, v.opts...)
}

func (v *lockSlots) Release(slot int, done func(error)) { v.slots[slot].lock.UnlockAsync(done) }
