package lockify

import (
	"context"
	"fmt"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is delegated name ranges, for programs.

type rangeOp uint8

const (
	opDelegate rangeOp = iota
	opReturn
)

func (o rangeOp) String() string { return [...]string{"delegate", "return"}[o] }

// RangePrefix makes the first bytes of a name, 1 to 63, its range key: names with
// the same key are a range, which Delegate can hand to a node. All who open the
// lockspace must say the same; without a rule there are no ranges.
func RangePrefix(bytes int) SpaceOption { return rangeOption(lockspace.RangePrefix(bytes)) }

// RangeSeparator makes a name's range key what stands up to the last separator,
// that one included: with '/' the directory part of a path. See RangePrefix.
func RangeSeparator(separator byte) SpaceOption { return rangeOption(lockspace.RangeLast(separator)) }

// RangeFirstSeparator is RangeSeparator with the first separator of a name.
func RangeFirstSeparator(separator byte) SpaceOption {
	return rangeOption(lockspace.RangeFirst(separator))
}

// ParseRanges reads a rule for range keys as text: "none", "prefix:8" (RangePrefix),
// "last:/" (RangeSeparator), "first:/" (RangeFirstSeparator); a separator may also
// be given as "0x2f". Errors: ErrKey.
func ParseRanges(rule string) (SpaceOption, error) {
	r, err := lockspace.ParseRangeRule(rule)
	if err != nil {
		return SpaceOption{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return rangeOption(r), nil
}

func rangeOption(r lockspace.RangeRule) SpaceOption { return SpaceOption{ranges: &r} }

// Delegate has the range with this key handed to the node of this program, which
// is then the directory of all names in it: to lock a new name there costs no
// message and opens no claim, whether New is said or not. Other nodes lock names of
// the range as ever, at one message more. The range belongs to the node, not to
// the program: it stays until Return, which any program of the node may call, or until a node
// opens or leaves the lockspace. Then all ranges go back, and their owners get them anew, without
// a word, unless somebody else asks first: delegation saves messages, it excludes nobody. Locks stay.
//
// If ctx ends first, its error is returned and the range comes all the same;
// Return gives it back. Errors: ErrInvalid (the lockspace has no ranges, or key is
// none of its keys), ErrRangeTaken (the message names the node), ErrCancelled (a
// Return came in between), ErrBusy (a Return is under way), ErrLimit, ErrClosed.
func (s *Lockspace) Delegate(ctx context.Context, key string) error {
	return s.ranged(ctx, opDelegate, key)
}

// Return gives a delegated range back. It waits until what the node has created
// with New so far is known to the cluster. If ctx ends first, the range goes back
// all the same. Errors: ErrInvalid, ErrNoRange, ErrLimit, ErrClosed.
func (s *Lockspace) Return(ctx context.Context, key string) error {
	return s.ranged(ctx, opReturn, key)
}

func (s *Lockspace) ranged(ctx context.Context, op rangeOp, key string) error {
	switch {
	case s.closed.Load():
		return fmt.Errorf("%v of range %q: %w", op, key, ErrClosed)
	case s.props.Range == 0:
		return fmt.Errorf("%w: %v of range %q: lockspace %q has no ranges", ErrKey, op, key, s.name)
	case !s.props.Range.IsKey([]byte(key)):
		return fmt.Errorf("%w: %v of range %q: not a range key of lockspace %q (%v)", ErrKey, op, key, s.name, s.props.Range)
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	ch := make(chan error, 1)
	s.be.ranges(op, key, func(st wire.Status, owner uint64, err error) {
		if err == nil {
			err = statusError(st, "")
		}
		switch {
		case st == wire.RangeTaken:
			err = fmt.Errorf("%v of range %q: %w: node %d", op, key, err, owner)
		case err != nil:
			err = fmt.Errorf("%v of range %q: %w", op, key, err)
		}
		ch <- err
	})
	select {
	case err := <-ch:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rangeEnd hears the end of a range operation in this process (node.Owner).
type rangeEnd func(st wire.Status, owner uint64, err error)

func (f rangeEnd) Complete(_, _ uint64, c *lockspace.Completion) { f(c.Status, c.Token, nil) }
func (rangeEnd) Blocking(uint64, lockspace.Mode)                 {}
func (rangeEnd) Confirmed(uint64)                                {}
func (rangeEnd) Lost(uint64)                                     {}
func (rangeEnd) Bytes(uint64, uint64, *lockspace.ByteOutcome)    {}

func (e *embedded) ranges(op rangeOp, key string, done func(wire.Status, uint64, error)) {
	switch {
	case e.node.closed.Load():
		done(wire.ShuttingDown, 0, nil)
	case op == opDelegate:
		e.space.Delegate(rangeEnd(done), []byte(key), 0)
	default:
		e.space.Return(rangeEnd(done), []byte(key), 0)
	}
}

func (r *remote) ranges(op rangeOp, key string, done func(wire.Status, uint64, error)) {
	m := wire.Msg{Type: wire.DelegateReq, Name: []byte(key)}
	if op == opReturn {
		m.Type = wire.ReturnReq
	}
	r.start(&m, running{done: func(m *wire.Msg, err error) {
		if err != nil {
			done(wire.OK, 0, err)
			return
		}
		done(m.Status, m.Token, nil)
	}})
}
