package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// Errors of Open.
var (
	ErrInvalid  = errors.New("node: invalid argument")
	ErrMismatch = errors.New("node: lockspace has other properties")
	ErrLimit    = errors.New("node: limit reached")

	// These are ErrInvalid, too.
	ErrName  = fmt.Errorf("%w: name", ErrInvalid)
	ErrValue = fmt.Errorf("%w: value size", ErrInvalid)
	ErrKey   = fmt.Errorf("%w: range keys", ErrInvalid)
)

// drift is what the idle test of an adoption allows for clocks that run at
// different speeds: 0.1 % of the longest time a claim can stay open unnoticed.
const drift = time.Millisecond

// Open opens a lockspace, making it if it is new. props are the same for everybody.
// It waits until the node takes part in it. Who has opened it closes it (Space.Close).
func (n *Node) Open(ctx context.Context, name string, props Props) (*Space, error) {
	if len(name) == 0 || len(name) > wire.MaxName {
		return nil, fmt.Errorf("%w of %d bytes for a lockspace, must be 1 to %d", ErrName, len(name), wire.MaxName)
	}
	if err := props.check(); err != nil {
		return nil, fmt.Errorf("lockspace %q: %w", name, err)
	}
	if err := n.lockToOpen(ctx, name); err != nil {
		return nil, err
	}
	known := n.byName(name) != nil
	s, err := n.openLocked(name, props)
	var a *admission
	if err == nil {
		s.users++
		s.usedAt = n.now()
		if !s.isOpen() {
			a = n.askLocked(s)
		}
	}
	n.mu.Unlock()
	if err == nil && !known {
		n.cfg.Logger.Info("lockspace is opened on this node", "event", eventLockspaceOpen, "lockspace", name)
	}
	if err != nil || a == nil {
		return s, err
	}
	if err := s.awaitView(ctx, a); err != nil {
		s.Close()
		return nil, fmt.Errorf("lockspace %q: %w", name, err)
	}
	return s, nil
}

// admission is a question to the cluster whether this node may open a lockspace. There is one
// at a time, for all who wait for that: what is refused to one must not be taken away while
// it is granted to another.
type admission struct {
	done chan struct{} // closed when the answer is there
	err  error         // then; nil: granted, the view comes
}

func (n *Node) askLocked(s *Space) *admission {
	if s.asking == nil {
		s.asking = &admission{done: make(chan struct{})}
		go n.ask(s, n.members, s.asking)
	}
	return s.asking
}

// ask goes on when those who wait have gone: the answer comes all the same.
func (n *Node) ask(s *Space, members opener, a *admission) {
	err := members.Open(context.Background(), s.name, s.props.config())
	n.mu.Lock()
	defer n.mu.Unlock()
	refused := true
	switch {
	case errors.Is(err, cluster.ErrConfig):
		err = fmt.Errorf("%w%s, asked for values of %d bytes, range keys %v: %w", ErrMismatch, n.propsText(s.name), s.props.ValueLen, s.props.Range, err)
	case errors.Is(err, cluster.ErrLimit):
		err = fmt.Errorf("%w%s: %w", ErrLimit, n.fullText(), err)
	default: // granted, or not known: its first view may be on its way
		refused = false
	}
	if refused && !s.isOpen() && !s.viewed {
		delete(n.spaces, s.id)
		n.publish()
	}
	if a.err = err; err != nil {
		s.asking = nil // the next one asks again
	}
	close(a.done)
}

// propsText says what a lockspace that others have open is like, if that is known.
func (n *Node) propsText(name string) string {
	if n.provider == nil || n.provider.State() == nil {
		return ""
	}
	s := n.provider.State().Space(name)
	if s == nil || len(s.Config) != configLen {
		return ""
	}
	p := propsIn(s.Config)
	return fmt.Sprintf(": it has values of %d bytes, range keys %v", p.ValueLen, p.Range)
}

// fullText says what to do where the cluster has no room for another lockspace.
func (n *Node) fullText() string {
	if n.provider == nil || n.provider.State() == nil || len(n.provider.State().Spaces) < cluster.MaxSpaces {
		return ""
	}
	return fmt.Sprintf(": the cluster has %d lockspaces open, or had in the last %v; put names into fewer, or close those that are not used",
		cluster.MaxSpaces, n.cfg.CloseAfter)
}

// errNotJoined: the node is not yet a member of its cluster.
var errNotJoined = fmt.Errorf("%w: not yet a member of the cluster", ErrFenced)

func (s *Space) isOpen() bool {
	select {
	case <-s.opened:
		return true
	default:
		return false
	}
}

func (s *Space) awaitView(ctx context.Context, a *admission) error {
	for answered := a.done; ; answered = nil {
		select {
		case <-s.opened:
			return nil
		case <-answered:
			if a.err != nil {
				return a.err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-s.node.over:
			s.node.mu.Lock()
			defer s.node.mu.Unlock()
			if s.node.closed {
				return ErrClosed
			}
			return s.node.fenced
		}
	}
}

// config is how the properties are agreed on: length of the values, range rule.
func (p Props) config() []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(p.ValueLen))
	return binary.LittleEndian.AppendUint32(b, uint32(p.Range))
}

const configLen = 8

// propsIn is the reverse of config.
func propsIn(config []byte) Props {
	return Props{int(binary.LittleEndian.Uint32(config)), lockspace.RangeRule(binary.LittleEndian.Uint32(config[4:]))}
}

func (n *Node) openLocked(name string, props Props) (*Space, error) {
	switch {
	case n.closed:
		return nil, ErrClosed
	case n.fenced != nil:
		return nil, n.fenced
	}
	id := wire.SpaceID(name)
	if s := n.spaces[id]; s != nil {
		switch {
		case s.name != name:
			return nil, fmt.Errorf("%w: %q and %q have the same number %#x; rename one", ErrMismatch, name, s.name, id)
		case s.props.ValueLen != props.ValueLen:
			return nil, fmt.Errorf("%w: %q has values of %d bytes, asked for %d", ErrMismatch, name, s.props.ValueLen, props.ValueLen)
		case s.props.Range != props.Range:
			return nil, fmt.Errorf("%w: %q has range keys %v, asked for %v", ErrMismatch, name, s.props.Range, props.Range)
		}
		return s, nil
	}
	if n.fixed == nil && n.members == nil { // what it is to be like is not agreed on here
		return nil, fmt.Errorf("lockspace %q: %w", name, errNotJoined)
	}
	if len(n.spaces) >= n.maxSpaces {
		return nil, n.tooManySpaces()
	}
	s := &Space{node: n, name: name, id: id, props: props, opened: make(chan struct{})}
	for i := range n.cfg.Shards {
		r := &runner{node: n, space: s, number: i}
		shard, err := lockspace.New(lockspace.Config{
			Self: n.cfg.Instance, Shard: i, Shards: n.cfg.Shards, ValueLen: props.ValueLen, Range: props.Range,
			View: n.fixed, Host: r, Common: n.common.forShard(&s.clocks), IdleAfter: int64(n.cfg.IdleAfter), Drift: int64(drift),
			Lives: n.lives,
		})
		if err != nil {
			return nil, err
		}
		r.shard = shard
		s.runners = append(s.runners, r)
	}
	if n.fixed != nil {
		s.view.Store(n.fixed)
		close(s.opened)
		n.announce(s, n.peers.members())
	}
	n.spaces[id] = s
	n.publish()
	return s, nil
}

// tooManySpaces says what to do.
func (n *Node) tooManySpaces() error {
	if n.fixed != nil {
		return fmt.Errorf("%w: %d lockspaces have been opened on this node, which keeps each until it ends; put names into fewer", ErrLimit, len(n.spaces))
	}
	return fmt.Errorf("%w: %d lockspaces are in use on this node; put names into fewer, or close those that are not used", ErrLimit, len(n.spaces))
}

// publish lets those who look without a lock see which lockspaces there are.
func (n *Node) publish() {
	byID := make(map[uint32]*Space, len(n.spaces))
	var all []*runner
	for id, s := range n.spaces {
		byID[id] = s
		all = append(all, s.runners...)
	}
	n.byID.Store(&byID)
	n.runners.Store(&all)
}
