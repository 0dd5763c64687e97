package cluster

import (
	"errors"
	"fmt"
)

// Errors of this package. They are wrapped with what was wrong.
var (
	ErrInvalid  = errors.New("cluster: invalid")              // an argument, a command, bytes that came in
	ErrBusy     = errors.New("cluster: id is in use")         // an earlier start of the node may hold its lease: wait
	ErrMember   = errors.New("cluster: not a member")         // the instance is not one, or not any more
	ErrNoVote   = errors.New("cluster: cannot vote")          // the node has no store, or there are enough voters
	ErrLast     = errors.New("cluster: last voter")           // without it there is no cluster
	ErrConfig   = errors.New("cluster: other lockspace rule") // the lockspace is open with another configuration
	ErrLimit    = errors.New("cluster: limit reached")        // nodes, lockspaces, commands under way
	ErrNoQuorum = errors.New("cluster: no quorum")            // the lease has ended: nothing may be granted
	ErrOther    = errors.New("cluster: another cluster")      // its number differs from the one stored here
)

// Status is how a command or a renewal has ended, as it travels.
type Status uint8

const (
	// StatusOK: done, or done before.
	StatusOK        Status = iota
	statusNotLeader        // ask the one that the answer names
	statusInvalid
	statusBusy
	statusMember
	statusNoVote
	statusLast
	statusConfig
	statusLimit
	statusBehind // the views that the member lacks are not known any more
	statusOther
	statusCount
)

var statusErrors = [statusCount]error{
	statusNotLeader: errors.New("cluster: not the leader"), statusInvalid: ErrInvalid, statusBusy: ErrBusy,
	statusMember: ErrMember, statusNoVote: ErrNoVote, statusLast: ErrLast, statusConfig: ErrConfig,
	statusLimit: ErrLimit, statusBehind: errors.New("cluster: too many views missed"), statusOther: ErrOther,
}

// Err gives the error, nil for StatusOK.
func (s Status) Err() error {
	if s >= statusCount {
		return fmt.Errorf("cluster: status %d of a newer version", s)
	}
	return statusErrors[s]
}
