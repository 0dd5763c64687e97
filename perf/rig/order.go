package rig

import (
	"time"

	"github.com/lockify-dlm/lockify/perf/load"
)

// Order is what a client process is to do.
type Order struct {
	System  string     `json:"system"`
	Addrs   []string   `json:"addrs,omitempty"`   // of its servers
	Depth   int        `json:"depth"`             // locks under way at a time, at most; of batches, batches
	Clients int        `json:"clients,omitempty"` // connections of lockify's client, 0: 1
	New     bool       `json:"new,omitempty"`     // lockify.New: names are claimed
	Cache   bool       `json:"cache,omitempty"`   // of an embedded node: locks are kept (recipes.Cache)
	Node    *NodeOrder `json:"node,omitempty"`    // of an embedded node in a cluster
	Hold    int        `json:"hold,omitempty"`    // so many locks are held meanwhile
	Prefix  string     `json:"prefix,omitempty"`  // of the names of those locks
	Profile string     `json:"profile,omitempty"` // kind, "": none
	Dir     string     `json:"dir,omitempty"`     // of the profile
}

// Turn is one measurement of a client.
type Turn struct {
	Depth int        `json:"depth"` // locks under way at a time, at most the order's
	Shape load.Shape `json:"shape"`
}

// NodeOrder is what an embedded node is in a cluster.
type NodeOrder struct {
	ID    int           `json:"id"`    // from 1
	Addrs []string      `json:"addrs"` // where the nodes listen, by id
	Delay time.Duration `json:"delay"` // one way, between any two
}

// line is what a client process says.
type line struct {
	Ready  bool   `json:"ready,omitempty"`  // it waits for a Turn
	Begun  bool   `json:"begun,omitempty"`  // it is warm, and measures from now on
	Addr   string `json:"addr,omitempty"`   // Echo: where it listens
	Report *Round `json:"report,omitempty"` // it has measured
}

// Round is what a client process has measured.
type Round struct {
	load.Result
	HeldBytes float64 `json:"held_bytes,omitempty"` // of the process, for each lock of Order.Hold
	Claims    uint64  `json:"claims,omitempty"`     // NOTIFY messages that left the node
	Frames    uint64  `json:"frames,omitempty"`     // frames that left the node
}
