package bounds

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Range is what a number or a time may be, and what it is if nobody says anything. Where Default
// depends on the machine it is 0.
type Range[T int | time.Duration] struct{ Least, Most, Default T }

// What a node may be told.
var (
	IdleAfter  = Range[time.Duration]{time.Millisecond, 24 * time.Hour, 10 * time.Second}
	CloseAfter = Range[time.Duration]{time.Millisecond, 24 * time.Hour, 5 * time.Minute}
	LongWait   = Range[time.Duration]{time.Second, 24 * time.Hour, 10 * time.Second}
	Delay      = Range[time.Duration]{0, time.Second, 0}
	Lease      = Range[time.Duration]{200 * time.Millisecond, time.Hour, 5 * time.Second}
	Shards     = Range[int]{1, 256, 0}
	Pollers    = Range[int]{1, 256, 0}
	Rings      = Range[int]{0, 10_000, 256}
)

// What clients of a node may take; see node.Limits.
var (
	Sessions         = Range[int]{1, 1_000_000, 10_000}
	ClientSessions   = Range[int]{1, 1_000_000, 5000}
	ClientLockspaces = Range[int]{1, 1024, 256}
	ClientLocks      = Range[int]{1, 1 << 24, 1 << 20}
	ClientWaiting    = Range[int]{1, 1 << 24, 1 << 18}
	ClientQueued     = Range[int]{1 << 16, 1 << 30, 4 << 20}
	ClientRate       = Range[int]{0, 10_000_000, 0}
)

// The name of a cluster, and the nodes of a new one that decide.
const (
	Cluster        = "lockify"
	MaxClusterName = 255 // bytes, from 1
	Voters         = 3
	WantVoters     = "1, 3, 5 or 7"
)

// CanVote says whether a cluster may have so many voters.
func CanVote(n int) bool { return slices.Contains([]int{1, 3, 5, 7}, n) }

// Has says whether v is in the range.
func (r Range[T]) Has(v T) bool { return r.Least <= v && v <= r.Most }

func (r Range[T]) String() string { return Text(r.Least) + " to " + Text(r.Most) }

// Text writes a number or a time as people do: 24h, not 24h0m0s.
func Text[T int | time.Duration](v T) string {
	s := fmt.Sprint(v)
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
