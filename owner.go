package lockify

import "sync/atomic"

// OwnerID says for whom a lock is asked: a transaction, or a step of a program
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
func (s *Lockspace) NewOwner() OwnerID { return s.be.newOwner() }

// Owner says for whom the lock is. All locks of one owner in a lockspace
// belong together; locks without an owner stand alone.
func Owner(id OwnerID) Option { return Option{owner: id} }
