package lockify

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/trace"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// RangeType is what a lock on a byte range excludes.
type RangeType = byterange.Type

const (
	ReadRange  = byterange.Read  // shared: any number of owners (F_RDLCK)
	WriteRange = byterange.Write // exclusive: one owner (F_WRLCK)
)

// RangeLock is a lock on a byte range.
type RangeLock struct {
	Node          uint16  // on which its owner is
	Owner         OwnerID // its own number there
	Type          RangeType
	Start, Length int64 // bytes; length 0: to the end
}

// ByteRanges is POSIX byte-range locks on one name of a lockspace, with the
// semantics of fcntl(2): an owner has one lock on each byte, which it can
// upgrade, downgrade and give up in any pieces. All ByteRanges of a name in
// the cluster exclude each other; locks in modes, of the same name or others,
// do not concern them.
//
// Owners are numbers of the program, one for each of its threads of control
// that waits as a whole (a process, in POSIX): NewOwner, or its own. One who
// waits counts as blocked: a request that would close a circle of waiting owners
// within the name gets ErrDeadlock at once, and circles that lead through other
// names, by byte ranges and by locks with an Owner alike, are found as Owner says.
// The same owner through two ByteRanges of one name is two owners, as open file
// descriptions are.
//
// Methods may be called by several goroutines at once. At most 1024 ranges and
// waiting requests of a ByteRanges are kept, 65536 ranges and 4096 waiting
// requests of a name.
type ByteRanges struct {
	lock *Lock // the handle: NL, pins the name; when it goes, its ranges go

	mu        sync.Mutex
	closed    bool
	lastTag   uint64
	running   map[uint64]func(*lockspace.ByteOutcome) // embedded: by tag
	abandoned map[OwnerID]*abandoned
}

// abandoned are an owner's requests whose callers' contexts have ended.
type abandoned struct {
	n    int           // not decided yet
	done chan struct{} // closed when all are
}

// OpenByteRanges prepares for byte-range locks on name, 1 to 64 bytes. It locks
// name in NL, which excludes nobody. Errors: those of Lock.
func (s *Lockspace) OpenByteRanges(ctx context.Context, name string) (r *ByteRanges, err error) {
	var o Option
	if s.tracer != nil {
		var span trace.Span
		ctx, span = s.beginSpan(ctx, opLock, name, NL)
		defer func() { endSpan(span, opLock, err) }()
		o = traced(o, span)
	}
	if err := s.ready(ctx); err != nil {
		return nil, opLock.of(name, err)
	}
	l, err := s.newLock(name, NL, &o)
	if err != nil {
		return nil, err
	}
	r = &ByteRanges{lock: l, running: map[uint64]func(*lockspace.ByteOutcome){}, abandoned: map[OwnerID]*abandoned{}}
	l.rarely().ranges = r
	if err := l.await(ctx, true, s.be.lock(l, NL, o, false), nil); err != nil {
		return nil, err
	}
	return r, nil
}

// Name gives the name that was opened.
func (r *ByteRanges) Name() string { return r.lock.name }

// Lock waits until owner has the range locked with type t (F_SETLKW): length
// bytes from start, both as in struct flock; length 0 reaches to the end,
// whatever it will be, a negative one gives the bytes before start. It replaces
// what owner had there: an upgrade, and a downgrade, take effect with the grant
// as a whole. Requests are granted in the order in which they came, each as
// soon as nobody's lock is in its way.
//
// If ctx ends first, the request is withdrawn and ctx's error returned. If the
// grant has crossed that, the range is unlocked again, also where owner had it
// before; until that is decided, owner's next request waits.
//
// Errors: ErrDeadlock (a DeadlockError, which names the circle), ErrBytes, ErrMode and
// ErrOwner (all three ErrInvalid), ErrLimit, ErrNotHeld (closed before), ErrLost,
// ErrClosed.
func (r *ByteRanges) Lock(ctx context.Context, owner OwnerID, t RangeType, start, length int64) error {
	_, err := r.do(ctx, "lock", owner, t, start, length, 0)
	return err
}

// TryLock is Lock, with ErrWouldBlock where Lock would wait for another owner
// (F_SETLK). The error says who is in the way.
func (r *ByteRanges) TryLock(ctx context.Context, owner OwnerID, t RangeType, start, length int64) error {
	_, err := r.do(ctx, "lock", owner, t, start, length, lockspace.NoQueue)
	return err
}

// Unlock gives up what owner has of the range (F_UNLCK). It waits for no other
// node unless a Lock of the same owner is running. Errors: ErrInvalid,
// ErrLimit (it would split a range, and there are too many), ErrNotHeld,
// ErrLost, ErrClosed.
func (r *ByteRanges) Unlock(ctx context.Context, owner OwnerID, start, length int64) error {
	_, err := r.do(ctx, "unlock", owner, byterange.None, start, length, 0)
	return err
}

// Test tells what would be in the way of a Lock (F_GETLK): of the locks that
// are, the one that starts first. found is false if nothing is; another owner
// may be faster all the same. Errors: as TryLock, without ErrWouldBlock.
func (r *ByteRanges) Test(ctx context.Context, owner OwnerID, t RangeType, start, length int64) (l RangeLock, found bool, err error) {
	o, err := r.do(ctx, "test", owner, t, start, length, lockspace.TestRange)
	if err != nil || o.Blocker.Type == byterange.None {
		return RangeLock{}, false, err
	}
	return rangeLock(&o.Blocker), true, nil
}

// Lost gives a channel that is closed when all ranges are lost: the session or
// the node has ended.
func (r *ByteRanges) Lost() <-chan struct{} { return r.lock.Lost() }

// Close gives up all ranges of all owners. Requests that wait fail with
// ErrClosed. Errors: those of Lock.Unlock.
func (r *ByteRanges) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return r.lock.Unlock(ctx)
}

func rangeLock(h *byterange.Held) RangeLock {
	l := RangeLock{Node: wire.NodeOf(h.Owner.Node), Owner: OwnerID(h.Owner.Number), Type: h.Type}
	l.Start, l.Length = startLength(h.Start, h.End)
	return l
}

// startLength gives a range as struct flock has it.
func startLength(start, end int64) (int64, int64) {
	if end == byterange.Last {
		return start, 0
	}
	return start, end - start + 1
}

// check finds what no request may have.
func (r *ByteRanges) check(what string, owner OwnerID, t RangeType, start, length int64) (wire.RangeRec, error) {
	rg, err := byterange.New(start, length)
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrBytes, err)
	case owner == 0:
		err = fmt.Errorf("%w 0, must be 1 to %d", ErrOwner, ^OwnerID(0))
	case what == "unlock":
	case t != ReadRange && t != WriteRange:
		err = fmt.Errorf("%w: type %d, must be ReadRange or WriteRange", ErrMode, uint8(t))
	}
	if err != nil {
		return wire.RangeRec{}, err
	}
	return wire.RangeRec{Owner: uint64(owner), Start: rg.Start, End: rg.End, Type: uint8(t)}, nil
}

// byteResult is how a request ended.
type byteResult struct {
	o   lockspace.ByteOutcome
	err error // of the connection
}

func (r *ByteRanges) do(ctx context.Context, what string, owner OwnerID, t RangeType, start, length int64, flags uint32) (o lockspace.ByteOutcome, err error) {
	defer func() {
		if err != nil {
			err = &opError{what + " bytes", r.Name(), err}
		}
	}()
	rec, err := r.check(what, owner, t, start, length)
	var part Option
	if s := r.lock.space; s.tracer != nil && err == nil {
		end := s.beginBytes(ctx, what, r.Name(), rec, &part)
		defer func() { end(err) }()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = r.settle(ctx, owner)
	}
	if err != nil {
		return lockspace.ByteOutcome{}, err
	}
	ch := make(chan byteResult, 1)
	tag := r.lock.at.bytes(r, rec, flags, &part, ch)
	select {
	case res := <-ch:
		return res.o, r.failure(&res)
	case <-ctx.Done():
	}
	select {
	case res := <-ch: // it was decided before
		return res.o, r.failure(&res)
	default:
	}
	if what != "lock" { // gives nothing that would have to be given back
		return lockspace.ByteOutcome{}, ctx.Err()
	}
	r.abandon(owner)
	r.lock.at.cancelBytes(r, tag)
	go r.giveBack(rec, ch)
	return lockspace.ByteOutcome{}, ctx.Err()
}

// giveBack waits for the outcome of a request that nobody wants any more.
func (r *ByteRanges) giveBack(rec wire.RangeRec, ch chan byteResult) {
	if res := <-ch; res.err == nil && res.o.Status == wire.OK {
		rec.Type = uint8(byterange.None)
		r.lock.at.bytes(r, rec, 0, &Option{}, ch)
		<-ch
	}
	r.decided(OwnerID(rec.Owner))
}

func (r *ByteRanges) abandon(owner OwnerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.abandoned[owner]
	if a == nil {
		a = &abandoned{done: make(chan struct{})}
		r.abandoned[owner] = a
	}
	a.n++
}

func (r *ByteRanges) decided(owner OwnerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.abandoned[owner]
	if a.n--; a.n == 0 {
		delete(r.abandoned, owner)
		close(a.done)
	}
}

// settle waits until no abandoned request of owner can be granted any more.
func (r *ByteRanges) settle(ctx context.Context, owner OwnerID) error {
	r.mu.Lock()
	a := r.abandoned[owner]
	r.mu.Unlock()
	if a == nil {
		return nil
	}
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failure gives the error of a result.
func (r *ByteRanges) failure(res *byteResult) error {
	err := res.err
	if err == nil {
		err = outcomeError(res.o.Status, res.o.Text, res.o.Cycle)
	}
	if err == nil {
		return nil
	}
	switch closed, lost := r.ended(); {
	case res.o.Status == wire.Cancelled && (closed || lost):
		err = ErrClosed
	case res.o.Status == wire.NoLock && lost: // fenced
		err = ErrLost
	}
	if res.o.Status == wire.Limit && res.o.Text == "" {
		err = fmt.Errorf("%w: a ByteRanges has room for %d ranges, a request under way takes two, and a name for %d, "+
			"of which %d requests may wait; unlock some, or open another one", err, wire.MaxRanges, lockspace.MaxByteLocks, lockspace.MaxByteQueue)
	}
	if b := &res.o.Blocker; b.Type != byterange.None && len(res.o.Cycle) == 0 {
		return fmt.Errorf("%w: owner %d on node %d has a %v lock on bytes %v",
			err, uint32(b.Owner.Number), wire.NodeOf(b.Owner.Node), b.Type, b.Range)
	}
	return err
}

// ended says whether the handle was closed, or is about to be, and whether it was lost.
func (r *ByteRanges) ended() (closed, lost bool) {
	r.mu.Lock()
	closed = r.closed
	r.mu.Unlock()
	l := r.lock
	l.mu.Lock()
	defer l.mu.Unlock()
	return closed || l.space.closed.Load(), l.isLost
}

// Bytes passes the outcome of a request on (node.Owner).
func (o *owner) Bytes(_, tag uint64, out *lockspace.ByteOutcome) {
	r := o.ranges
	r.mu.Lock()
	done := r.running[tag]
	delete(r.running, tag)
	r.mu.Unlock()
	done(out)
}

func (e *embedded) bytes(r *ByteRanges, rec wire.RangeRec, flags uint32, part *Option, ch chan byteResult) (tag uint64) {
	r.mu.Lock()
	r.lastTag++
	tag = r.lastTag
	r.running[tag] = func(o *lockspace.ByteOutcome) {
		kept := *o
		kept.Cycle = slices.Clone(o.Cycle)
		ch <- byteResult{o: kept}
	}
	r.mu.Unlock()
	e.space.Bytes((*owner)(r.lock), r.lock.id, rec, flags, tag, part.inTrace())
	return tag
}

func (e *embedded) cancelBytes(r *ByteRanges, tag uint64) {
	e.space.CancelBytes((*owner)(r.lock), r.lock.id, tag)
}

func (a *seat) bytes(b *ByteRanges, rec wire.RangeRec, flags uint32, part *Option, ch chan byteResult) (tag uint64) {
	m := wire.Msg{Type: wire.RangeReq, Lock: b.lock.id, Flags: flags, Ranges: wire.RangeList(nil).Append(rec)}
	part.putSpan(&m)
	a.s.start(a.space, &m, running{done: func(m *wire.Msg, err error) { ch <- byteResultOf(m, err) }}, false)
	return m.Req
}

func byteResultOf(m *wire.Msg, err error) byteResult {
	if err != nil {
		return byteResult{err: err}
	}
	res := byteResult{o: lockspace.ByteOutcome{Status: m.Status, Hops: m.Hops, Text: string(m.Text), Cycle: slices.Clone(m.Path)}}
	if m.Ranges.Len() > 0 {
		rec := m.Ranges.At(0)
		res.o.Blocker = byterange.Held{
			Owner: byterange.Owner{Node: m.Instance, Number: rec.Owner},
			Lock: byterange.Lock{
				Type: byterange.Type(rec.Type), Range: byterange.Range{Start: rec.Start, End: rec.End},
			},
		}
	}
	return res
}

func (a *seat) cancelBytes(b *ByteRanges, tag uint64) {
	a.s.post(a.space, &wire.Msg{Type: wire.RangeCancelReq, Lock: b.lock.id, Req: tag})
}
