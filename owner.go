package lockify

import "sync/atomic"

// OwnerID says for whom a lock is asked: a transaction, or a step of a program,
// that waits as a whole. It is of one Client or Node, and 0 is nobody.
type OwnerID uint32

// owners gives out the owner ids of a Client or Node.
type owners struct{ last atomic.Uint32 }

func (o *owners) next() OwnerID {
	for {
		if n := o.last.Add(1); n != 0 {
			return OwnerID(n)
		}
	}
}

// NewOwner makes an owner, younger than those made before through the same
// Client or Node. Nothing is kept of it. After 1<<32 calls they begin anew.
//
// Of a deadlock's owners the youngest gives up: the one with the largest number,
// whichever node it is on. Who tries again under the same owner so has its turn
// once those that began before it are done; a new owner for each attempt would
// always be the youngest.
func (s *Lockspace) NewOwner() OwnerID { return s.be.newOwner() }

// Owner says for whom the lock is. All locks of one owner in a lockspace belong
// together, and while any request or conversion of his waits, he is taken to do
// nothing else: if those who are in his way wait for him in turn, directly or
// through others, on whatever names and nodes, that is a deadlock, and one of
// these requests ends with a DeadlockError, within a second as a rule. It keeps no
// lock from being taken: the owner of a failed request gives up what he holds, and
// tries again.
//
// Locks without an owner stand alone: nobody knows what their holders wait for,
// so no deadlock is found through them, but for two conversions of one name that
// exclude each other. Nor is one found that leads through another lockspace, or
// through more than 32 requests.
func Owner(id OwnerID) Option { return Option{owner: id} }
