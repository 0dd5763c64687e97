package lockify

import (
	"fmt"
	"strings"

	"github.com/lockify-dlm/lockify/lockspace/byterange"
	"github.com/lockify-dlm/lockify/wire"
)

// DeadlockError is why a request or conversion was ended that waited in a
// circle: the error of Lock, Convert and their kin, and of ByteRanges.Lock. errors.Is(err, ErrDeadlock)
// holds for it; errors.As finds it.
type DeadlockError struct {
	// Cycle says who waits for whom. The first edge is of the request that was
	// ended; who holds what it wants is the owner that waits in the next one, and
	// the last leads back to the first. (Where a request waits because another is
	// ahead of it in the queue, the next edge is that one's.) At most 32 edges: of
	// a longer circle within the byte ranges of one name the first ones.
	Cycle []DeadlockEdge
}

// DeadlockEdge says that one party waits for a name because of another one.
type DeadlockEdge struct {
	Name   string
	Waiter DeadlockParty // Mode: wanted
	Holder DeadlockParty // Mode: held; with Ahead, wanted
	Ahead  bool          // Holder does not hold what Waiter wants, but is ahead of it in the queue
	Bytes  bool          // of byte ranges of the name: Mode is PR for ReadRange, EX for WriteRange
}

// DeadlockParty is one who takes part in a deadlock.
type DeadlockParty struct {
	Node    uint16  // where it locks
	Session uint64  // the client's session at that node; 0: a program that embeds the node
	Owner   OwnerID // its number there; 0: a lock without an owner
	Mode    Mode

	Start, Length int64 // with Bytes: what is wanted, or held in the way of it; length 0: to the end
}

func (e *DeadlockError) Error() string {
	var b strings.Builder
	b.WriteString(ErrDeadlock.Error())
	for i := range e.Cycle {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		b.WriteString(sep + e.Cycle[i].String())
	}
	return b.String()
}

// Unwrap gives ErrDeadlock.
func (e *DeadlockError) Unwrap() error { return ErrDeadlock }

// String gives a sentence: owner 2 on node 2 wants "x" in PR, which owner 1 on
// node 1 holds in EX.
func (e DeadlockEdge) String() string {
	if e.Bytes {
		return fmt.Sprintf("%v wants %s of %q, where %v has %s",
			e.Waiter, e.Waiter.bytes(), e.Name, e.Holder, e.Holder.bytes())
	}
	if e.Ahead {
		return fmt.Sprintf("%v wants %q in %v, behind %v, who wants it in %v", e.Waiter, e.Name, e.Waiter.Mode, e.Holder, e.Holder.Mode)
	}
	return fmt.Sprintf("%v wants %q in %v, which %v holds in %v", e.Waiter, e.Name, e.Waiter.Mode, e.Holder, e.Holder.Mode)
}

// String gives who it is: "owner 1 on node 2", with its session if it has one.
func (p DeadlockParty) String() string {
	who := "somebody"
	if p.Owner != 0 {
		who = fmt.Sprintf("owner %d", p.Owner)
	}
	if p.Session != 0 {
		who += fmt.Sprintf(" of session %d", p.Session)
	}
	return fmt.Sprintf("%s on node %d", who, p.Node)
}

// bytes gives "a write lock on bytes 10-19".
func (p *DeadlockParty) bytes() string {
	t := ReadRange
	if p.Mode == EX {
		t = WriteRange
	}
	end := byterange.Last
	if p.Length != 0 {
		end = p.Start + p.Length - 1
	}
	return fmt.Sprintf("a %v lock on bytes %v", t, byterange.Range{Start: p.Start, End: end})
}

// deadlockError makes the error of a path of wire edges.
func deadlockError(path wire.Path) *DeadlockError {
	err := &DeadlockError{}
	for _, e := range path.Edges() {
		edge := DeadlockEdge{
			Name: string(e.Name), Waiter: deadlockParty(&e.Waiter), Holder: deadlockParty(&e.Blocker),
			Ahead: e.Ahead, Bytes: e.Bytes,
		}
		if e.Bytes {
			edge.Waiter.Start, edge.Waiter.Length = startLength(e.Waiter.Start, e.Waiter.End)
			edge.Holder.Start, edge.Holder.Length = startLength(e.Blocker.Start, e.Blocker.End)
		}
		err.Cycle = append(err.Cycle, edge)
	}
	return err
}

// deadlockParty takes an owner apart: the session's number is its upper half.
func deadlockParty(p *wire.Party) DeadlockParty {
	return DeadlockParty{
		Node: wire.NodeOf(p.Instance), Session: p.Owner >> 32, Owner: OwnerID(uint32(p.Owner)), Mode: Mode(p.Mode),
	}
}
