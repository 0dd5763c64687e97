package admin

// Status is the answer to /v1/status.
type Status struct {
	Node     uint16  `json:"node"`
	Instance ID      `json:"instance"` // of this start of the node
	Cluster  string  `json:"cluster"`
	NoMember string  `json:"no_member,omitempty"` // why the node is no member of it
	Epoch    uint64  `json:"epoch"`
	UptimeS  float64 `json:"uptime_s"`
	Sessions int     `json:"sessions"` // connected clients
	Links    []Link  `json:"links"`    // by peer
	Totals   Totals  `json:"totals"`   // over all lockspaces
}

// Link is the state of the link to another node.
type Link struct {
	Peer        uint16  `json:"peer"`
	State       string  `json:"state"`        // up, down, failed (too much was queued; stays so)
	Instance    ID      `json:"instance"`     // the peer's; 0: never met
	RTTUS       float64 `json:"rtt_us"`       // smoothed; 0: not yet known
	QueuedBytes int     `json:"queued_bytes"` // not acknowledged
	Resent      uint64  `json:"resent_frames"`
	Repeated    uint64  `json:"repeated_frames"`
	Dropped     uint64  `json:"dropped_frames"`
	Reconnects  uint64  `json:"reconnects"`
	FramesIn    uint64  `json:"frames_in"`
	FramesOut   uint64  `json:"frames_out"`
	BytesIn     uint64  `json:"bytes_in"`
	BytesOut    uint64  `json:"bytes_out"`
}

// Totals are gauges and counters of one lockspace, or of all, on one node.
type Totals struct {
	Lockspaces   int    `json:"lockspaces,omitempty"` // of all only
	Resources    int    `json:"resources"`            // names this node knows
	Locks        int    `json:"locks"`                // own, and others' on names mastered here
	Claims       Claims `json:"claims"`
	LocksLost    uint64 `json:"locks_lost"`
	NotifyResent uint64 `json:"notify_resent"`
	Ignored      uint64 `json:"ignored_messages"` // matched nothing any more
	Held         Held   `json:"held"`
}

// Claims counts what became of New.
type Claims struct {
	Open      int     `json:"open"`
	Made      uint64  `json:"made"`
	Confirmed uint64  `json:"confirmed"`
	Adopted   uint64  `json:"adopted"`
	Lost      uint64  `json:"lost"`
	Refused   uint64  `json:"refused"` // done as a lookup
	OpenUS    float64 `json:"open_us"` // time that closed claims were open, added up
}

// Held counts messages that waited for the release fence.
type Held struct {
	Now   int     `json:"now"`
	Total uint64  `json:"total"`
	US    float64 `json:"us"` // time they waited, added up
}

// Lockspace is one element of the answer to /v1/lockspaces, by name.
type Lockspace struct {
	Name      Name   `json:"name"`
	ID        ID     `json:"id"` // its number in frames
	ValueSize int    `json:"value_size"`
	Shards    int    `json:"shards"`            // on this node
	Epoch     uint64 `json:"epoch"`             // of its view, 0: none yet
	Waiting   int    `json:"recovering_shards"` // that cannot answer for all their names yet
	Totals    Totals `json:"totals"`
}

// Counters is the answer to /v1/counters. Messages are those between nodes,
// by the type names of package wire; a type that did not occur is absent.
type Counters struct {
	Node       uint16              `json:"node"`
	Instance   ID                  `json:"instance"`
	Sent       map[string]uint64   `json:"sent"`
	Received   map[string]uint64   `json:"received"`
	Totals     Totals              `json:"totals"`
	Lockspaces []LockspaceCounters `json:"lockspaces"`
}

// LockspaceCounters is the part of one lockspace in Counters.
type LockspaceCounters struct {
	Name     Name              `json:"name"`
	Sent     map[string]uint64 `json:"sent"`
	Received map[string]uint64 `json:"received"`
	Totals   Totals            `json:"totals"`
}

// Resource is one line of the answer to /v1/locks, by name.
type Resource struct {
	Name      Name        `json:"name"`
	Role      string      `json:"role"`      // of this node: unused, lookup, remote, master, claimed, adopting
	Master    uint16      `json:"master"`    // node; 0: not known here
	Directory uint16      `json:"directory"` // node
	Entry     uint16      `json:"entry"`     // master in this node's directory entry; 0: none
	Granted   []Lock      `json:"granted"`
	Convert   []Lock      `json:"convert"`
	Waiting   []Lock      `json:"waiting"`
	More      int         `json:"more,omitempty"` // locks that are left out: of each queue the first 16384 are there
	Bytes     []ByteRange `json:"bytes"`          // held, by owner, then those that wait, in order; on other nodes than the master: their own
	ValueHex  string      `json:"value_hex"`      // lock value block; empty: none, not valid, or not for whoever asks (only for root and the user as which lockifyd runs)
	ValueSeq  uint64      `json:"value_seq"`
}

// ByteRange is a byte range that is locked, or wanted.
type ByteRange struct {
	ID      ID     `json:"id"`      // of the lock through which it is locked
	Node    uint16 `json:"node"`    // the owner's
	Session uint64 `json:"session"` // the owner's program there, 0: a program in the node's process
	Owner   uint64 `json:"owner"`   // its number in that program
	Type    string `json:"type"`    // read, write; none: an unlock under way
	Start   int64  `json:"start"`   // first byte
	End     int64  `json:"end"`     // last byte; 9223372036854775807: the last that can be locked
	Waiting bool   `json:"waiting"` // not granted, or not answered yet
}

// Lock is a lock in one of the queues.
type Lock struct {
	ID      ID      `json:"id"`
	Node    uint16  `json:"node"`    // the owner's
	Granted string  `json:"granted"` // mode held, "--": none
	Wanted  string  `json:"wanted"`  // mode asked for, empty: none
	Token   uint64  `json:"token"`
	AgeS    float64 `json:"age_s"`   // s since it began to want what it wants, else since it was granted, as seen by the node that answers
	Orphan  bool    `json:"orphan"`  // its program has gone; only its own node knows
	Session uint64  `json:"session"` // of an orphan: the program's session, 0: a program in the node's process
}

// Range is one element of the answer to /v1/ranges, by key: a name range that is
// delegated to this node, or by it.
type Range struct {
	Key        Name   `json:"key"`
	State      string `json:"state"`      // asking, owned, returning; of others: lending, lent
	Owner      uint16 `json:"owner"`      // node
	Directory  uint16 `json:"directory"`  // node
	Generation uint64 `json:"generation"` // of the delegation; 0: none yet
}

// Trailer is the last line of the answer to /v1/locks. An answer without it
// was cut off.
type Trailer struct {
	End       bool `json:"end"`       // true
	Resources int  `json:"resources"` // lines before this one
	Truncated bool `json:"truncated"` // limit was reached, there are more
}

func (t Trailer) ended() (bool, int) { return t.End, t.Resources }

const (
	DefaultLimit = 1000   // resources in an answer to /v1/locks without limit
	MaxLimit     = 100000 // the largest limit
)
