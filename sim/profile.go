package sim

import ls "github.com/lockify-dlm/lockify/lockspace"

// Profile is a kind of runs: the cluster, its network and clocks, and what the
// programs do.
type Profile struct {
	Name      string
	About     string
	MinNodes  int
	MaxNodes  int
	MaxShards int
	Delay     int64 // ns, the mean of a message's way
	Tail      int   // of 1024 messages, how many take 300 times as long; three times as many take 20 times
	Slow      int   // percent of lanes that are slow, for 17 ms at a time
	SlowNew   int   // the same, of lanes of names that programs have created, on top
	Repeats   int   // percent of the messages RANGE that come twice
	Cuts      int64 // ns between cuts of links, on average; 0: none
	Members   int64 // ns between changes of who is a member, on average; 0: none
	Masters   bool  // they concern masters rather than others
	Pauses    int64 // ns between pauses that are longer than IdleAfter, on average; 0: none
	Rests     int64 // ns between looks at a cluster at rest, on average; 0: none
	Think     int64 // ns between operations on one node, on average
	Tick      int64 // ns between ticks of a node
	IdleAfter int64 // ns, see lockspace.Config
	Cached    int   // the same
	Drift     int64 // parts per million that clocks may run fast or slow
	Reuse     bool  // New is also used for names that exist
	Orphans   bool  // programs go, and leave locks
	Ranges    bool  // names lie in ranges, which are delegated and given back
	Owners    int   // clients of a node, each of which locks for one owner after the other; 0: locks have no owners
	Circles   bool  // time passes slowly enough for deadlocks across names, which are judged
	Roots     int   // names that all know from the start
	Locks     int   // of one node, or owner, at the same time
	Release   int   // percent of held locks that are given up once they are in somebody's way, per turn
	Weights   map[string]int
	Modes     []ls.Mode // chosen with equal chances
	Council   *Council  // the members agree on views themselves, and Members is the time between its faults; nil: they do not
}

var (
	manyModes = []ls.Mode{ls.NL, ls.CR, ls.CW, ls.PR, ls.PR, ls.PR, ls.PW, ls.EX, ls.EX, ls.EX}
	allModes  = []ls.Mode{ls.NL, ls.CR, ls.CW, ls.PR, ls.PW, ls.EX}
	byteModes = []ls.Mode{ls.NL, ls.NL, ls.NL, ls.NL, ls.NL, ls.CR, ls.PR, ls.EX}

	byteWeights = map[string]int{
		"bytes": 24, "cancel bytes": 3, "post": 2, "look": 1, "bytes meanwhile": 4, "create": 1, "convert": 2, "unlock": 2,
	}
)

const (
	us = int64(1e3)
	ms = int64(1e6)
)

// profiles are all kinds of runs.
var profiles = append(append(ownViews, agreedViews...), afterlives...)

// afterlives are kinds of runs in which programs go and leave locks, requests have deadlines, and
// names are retired and used again (afterlife.go).
var afterlives = []Profile{
	{
		Name: "orphans", About: "programs go and leave locks; deadlines; names are retired and created again",
		MinNodes: 3, MaxNodes: 4, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, SlowNew: 10, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 1 * ms, IdleAfter: 10 * ms, Drift: 100, Orphans: true, Roots: 2, Locks: 8, Modes: manyModes,
		Weights: map[string]int{"create": 6, "abandon": 4, "abandon busy": 2, "deadline": 4, "retire": 6},
	},
	{
		Name: "widows", About: "the same, with nodes that die",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, SlowNew: 10, Members: 4 * ms, Masters: true, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 1 * ms, IdleAfter: 5 * ms, Drift: 100, Orphans: true, Roots: 2, Locks: 7, Modes: manyModes,
		Weights: map[string]int{"create": 6, "abandon": 4, "abandon busy": 2, "deadline": 4, "retire": 6},
	},
	{
		Name: "retire", About: "names are retired and created again, at once, by others",
		MinNodes: 3, MaxNodes: 3, MaxShards: 2, Delay: 30 * us, Tail: 8, SlowNew: 40, Rests: 20 * ms,
		Think: 60 * us, Tick: 1 * ms, IdleAfter: 5 * ms, Drift: 100, Roots: 1, Locks: 3, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"create": 8, "convert": 1, "unlock": 4, "retire": 10},
	},
	{
		Name: "retirer", About: "the same in ranges that are delegated",
		MinNodes: 3, MaxNodes: 4, MaxShards: 2, Delay: 50 * us, Tail: 8, SlowNew: 30, Rests: 20 * ms,
		Think: 60 * us, Tick: 1 * ms, IdleAfter: 5 * ms, Drift: 100, Ranges: true, Roots: 3, Locks: 4, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"create": 8, "convert": 1, "unlock": 4, "retire": 10, "delegate": 8, "return": 8},
	},
	{
		Name: "heritage", About: "orphans, deadlines, retirements, delegated ranges, nodes that die",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, SlowNew: 20, Members: 4 * ms, Masters: true, Cuts: 5 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 1 * ms, IdleAfter: 5 * ms, Drift: 100, Orphans: true, Ranges: true, Roots: 3, Locks: 6, Modes: allModes,
		Weights: map[string]int{"create": 8, "abandon": 4, "abandon busy": 2, "deadline": 4, "retire": 8, "delegate": 6, "return": 6},
	},
	{
		Name: "retireu", About: "retirements and deadlines, New also for names that exist",
		MinNodes: 3, MaxNodes: 4, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 20, SlowNew: 20, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 1 * ms, IdleAfter: 5 * ms, Drift: 100, Reuse: true, Roots: 2, Locks: 5, Modes: []ls.Mode{ls.NL, ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"create": 8, "deadline": 4, "retire": 10},
	},
	{
		Name: "orphanc", About: "owners, deadlines, orphans, nodes that die: deadlocks",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 2 * ms, Tail: 4, Slow: 2, Members: 2000 * ms, Rests: 3000 * ms,
		Think: 20 * ms, Tick: 40 * ms, IdleAfter: 500 * ms, Drift: 100, Circles: true, Orphans: true, Roots: 4, Locks: 6, Modes: manyModes,
		Weights: map[string]int{"create": 0, "convert": 3, "unlock": 4, "abandon": 1, "abandon busy": 1, "deadline": 1},
	},
}

// ownViews are those whose views come from the simulator.
var ownViews = []Profile{
	{
		Name: "fresh", About: "files are created in directories; New is used rightly",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 5 * ms, IdleAfter: 30 * ms, Drift: 100, Roots: 3, Locks: 10, Modes: manyModes,
	},
	{
		Name: "publish", About: "directories are let go at once after a creation, and others look at once; messages about new names are slow",
		MinNodes: 3, MaxNodes: 3, MaxShards: 2, Delay: 30 * us, Tail: 8, SlowNew: 50, Rests: 20 * ms,
		Think: 60 * us, Tick: 1 * ms, IdleAfter: 5 * ms, Drift: 100, Roots: 1, Locks: 2,
		Modes:   []ls.Mode{ls.NL, ls.CR, ls.PR, ls.PR, ls.PW, ls.EX},
		Weights: map[string]int{"create": 6, "convert": 10, "unlock": 3},
	},
	{
		Name: "forget", About: "the same, with directories that nobody uses for long: masters forget them",
		MinNodes: 3, MaxNodes: 3, MaxShards: 1, Delay: 30 * us, Tail: 8, SlowNew: 40, Rests: 20 * ms,
		Think: 100 * us, Tick: 150 * us, Drift: 100, Roots: 5, Locks: 2, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"create": 8, "convert": 0, "unlock": 8},
	},
	{
		Name: "reuse", About: "New is also used for names that exist, at other nodes too",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 5 * ms, IdleAfter: 30 * ms, Cached: 2, Drift: 100, Roots: 3, Locks: 10, Modes: manyModes, Reuse: true,
	},
	{
		Name: "recycle", About: "the same, with few names that nobody uses for long",
		MinNodes: 2, MaxNodes: 3, MaxShards: 1, Delay: 100 * us, Tail: 8, Slow: 50, Rests: 30 * ms, Reuse: true,
		Think: 300 * us, Tick: 1 * ms, Drift: 100, Roots: 3, Locks: 2, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"create": 0, "convert": 1, "unlock": 8},
	},
	{
		Name: "relapse", About: "the same, with two names that are claimed again and again",
		MinNodes: 2, MaxNodes: 3, MaxShards: 1, Delay: 100 * us, Tail: 8, Slow: 30, Rests: 40 * ms, Reuse: true,
		Think: 1 * ms, Tick: 2 * ms, IdleAfter: 200 * us, Drift: 100, Roots: 2, Locks: 1, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"create": 0, "convert": 0, "unlock": 12, "cancel": 0, "force": 0},
	},
	{
		Name: "hot", About: "many locks on few names, all modes and flags: queues, conversions, values",
		MinNodes: 2, MaxNodes: 4, MaxShards: 1, Delay: 50 * us, Tail: 2, Slow: 2, Pauses: 100 * ms, Rests: 30 * ms,
		Think: 60 * us, Tick: 5 * ms, IdleAfter: 20 * ms, Drift: 100, Roots: 2, Locks: 6, Modes: allModes,
		Weights: map[string]int{"read": 1, "create": 0, "convert": 8, "unlock": 3},
	},
	{
		Name: "cold", About: "many names, used seldom: lookups, removals, masters that come and go",
		MinNodes: 2, MaxNodes: 5, MaxShards: 4, Delay: 300 * us, Tail: 16, Slow: 10, Pauses: 10 * ms, Rests: 50 * ms,
		Think: 300 * us, Tick: 1 * ms, IdleAfter: 2 * ms, Cached: 1, Drift: 100, Roots: 12, Locks: 4, Modes: manyModes,
		Weights: map[string]int{"unlock": 12, "create": 1},
	},
	{
		Name: "lazy", About: "locks are kept until they are in somebody's way",
		MinNodes: 2, MaxNodes: 4, MaxShards: 2, Delay: 100 * us, Tail: 4, Slow: 5, Pauses: 100 * ms, Rests: 30 * ms,
		Think: 80 * us, Tick: 5 * ms, IdleAfter: 30 * ms, Drift: 100, Roots: 4, Locks: 12, Modes: manyModes, Release: 60,
		Weights: map[string]int{"unlock": 0, "convert": 1, "create": 1},
	},
	{
		Name: "links", About: "links are cut, one way or both, and come back without loss",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 200 * us, Tail: 16, Slow: 10, Cuts: 4 * ms, Pauses: 80 * ms, Rests: 60 * ms,
		Think: 100 * us, Tick: 5 * ms, IdleAfter: 20 * ms, Drift: 100, Roots: 3, Locks: 8, Modes: manyModes, Reuse: true,
	},
	{
		Name: "crash", About: "nodes die and come back, are cut off until their lease is over, and views change",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, Members: 5 * ms, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 5 * ms, IdleAfter: 10 * ms, Drift: 100, Roots: 3, Locks: 8, Modes: manyModes,
	},
	{
		Name: "heirs", About: "the same, with few names, values, and a slow network",
		MinNodes: 3, MaxNodes: 4, MaxShards: 1, Delay: 200 * us, Tail: 16, Slow: 10, SlowNew: 20, Members: 4 * ms, Masters: true, Rests: 30 * ms,
		Think: 150 * us, Tick: 5 * ms, IdleAfter: 3 * ms, Drift: 100, Roots: 2, Locks: 3,
		Modes:   []ls.Mode{ls.NL, ls.PR, ls.PR, ls.PW, ls.EX, ls.EX},
		Weights: map[string]int{"create": 2, "convert": 8, "unlock": 4},
	},
	{
		Name: "split", About: "nodes die and links are cut at the same time, nearly always",
		MinNodes: 5, MaxNodes: 5, MaxShards: 1, Delay: 30 * us, Cuts: 200 * us, Members: 8 * ms, Rests: 60 * ms,
		Think: 50 * us, Tick: 5 * ms, IdleAfter: 20 * ms, Drift: 100, Roots: 2, Locks: 2, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"create": 8, "convert": 0, "unlock": 4},
	},
	{
		Name: "usurp", About: "New is also used for names that exist, and nodes die and come back",
		MinNodes: 4, MaxNodes: 4, MaxShards: 1, Delay: 100 * us, Tail: 8, Slow: 10, Members: 3 * ms, Pauses: 60 * ms, Rests: 100 * ms,
		Think: 150 * us, Tick: 2 * ms, IdleAfter: 5 * ms, Drift: 100, Roots: 2, Locks: 3, Modes: manyModes, Reuse: true,
	},
	{
		Name: "ranges", About: "as fresh, with ranges of names that are delegated and given back",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 5 * ms, IdleAfter: 10 * ms, Drift: 100, Ranges: true, Roots: 3, Locks: 10, Modes: manyModes,
	},
	{
		Name: "domains", About: "the same, with a slow network and hardly anything else going on",
		MinNodes: 3, MaxNodes: 4, MaxShards: 1, Delay: 100 * us, Tail: 8, Slow: 10, SlowNew: 20, Rests: 40 * ms,
		Think: 80 * us, Tick: 500 * us, IdleAfter: 500 * us, Drift: 100, Ranges: true, Roots: 3, Locks: 3,
		Modes:   []ls.Mode{ls.PR, ls.EX, ls.EX},
		Weights: map[string]int{"lock": 2, "delegate": 8, "return": 8, "create": 8, "convert": 1, "unlock": 8},
	},
	{
		Name: "fiefs", About: "as ranges, with nodes that die and come back",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, Members: 5 * ms, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 5 * ms, IdleAfter: 10 * ms, Drift: 100, Ranges: true, Roots: 3, Locks: 8, Modes: manyModes,
	},
	{
		Name: "bytes", About: "byte ranges: locked, tested, given up in parts, by many owners on few names; some messages come twice",
		MinNodes: 2, MaxNodes: 4, MaxShards: 2, Delay: 80 * us, Tail: 4, Slow: 5, Repeats: 5, Pauses: 80 * ms, Rests: 30 * ms,
		Think: 60 * us, Tick: 5 * ms, IdleAfter: 10 * ms, Drift: 100, Roots: 2, Locks: 4, Modes: byteModes,
		Weights: byteWeights,
	},
	{
		Name: "posts", About: "names are created and posted under byte ranges, and others look at once; messages about new names are slow",
		MinNodes: 3, MaxNodes: 3, MaxShards: 2, Delay: 30 * us, Tail: 8, SlowNew: 50, Rests: 20 * ms,
		Think: 60 * us, Tick: 1 * ms, IdleAfter: 5 * ms, Drift: 100, Roots: 1, Locks: 2, Modes: byteModes,
		Weights: map[string]int{"bytes": 20, "cancel bytes": 1, "post": 8, "look": 1, "bytes meanwhile": 4, "create": 0, "convert": 0, "unlock": 1},
	},
	{
		Name: "squat", About: "byte ranges under claims, which may be wrong",
		MinNodes: 2, MaxNodes: 4, MaxShards: 1, Delay: 100 * us, Tail: 8, Slow: 20, Pauses: 60 * ms, Rests: 40 * ms, Reuse: true,
		Think: 80 * us, Tick: 2 * ms, IdleAfter: 5 * ms, Drift: 100, Roots: 3, Locks: 4, Modes: byteModes, Weights: byteWeights,
	},
	{
		Name: "estate", About: "byte ranges, with nodes that die and come back",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 100 * us, Tail: 8, Slow: 5, Members: 5 * ms, Masters: true, Pauses: 60 * ms, Rests: 40 * ms,
		Think: 80 * us, Tick: 5 * ms, IdleAfter: 10 * ms, Drift: 100, Roots: 2, Locks: 4, Modes: byteModes, Weights: byteWeights,
	},
	{
		Name: "owners", About: "owners lock several names in a random order: deadlocks across names",
		MinNodes: 2, MaxNodes: 4, MaxShards: 2, Delay: 4 * ms, Tail: 4, Slow: 2, Rests: 3000 * ms,
		Think: 20 * ms, Tick: 40 * ms, IdleAfter: 500 * ms, Drift: 100, Owners: 3, Circles: true, Roots: 6, Locks: 3,
		Modes:   []ls.Mode{ls.CR, ls.CW, ls.PR, ls.PR, ls.PW, ls.EX, ls.EX, ls.EX},
		Weights: map[string]int{"create": 0, "read": 0, "convert": 4, "unlock": 4},
	},
	{
		Name: "clans", About: "the same, with nodes that die and come back",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 2 * ms, Tail: 4, Slow: 2, Members: 2000 * ms, Rests: 3000 * ms,
		Think: 20 * ms, Tick: 40 * ms, IdleAfter: 500 * ms, Drift: 100, Owners: 3, Circles: true, Roots: 6, Locks: 3,
		Modes:   []ls.Mode{ls.PR, ls.PR, ls.PW, ls.EX, ls.EX, ls.EX},
		Weights: map[string]int{"create": 0, "read": 0, "convert": 3, "unlock": 4},
	},
	{
		Name: "plots", About: "owners lock byte ranges of several names, and names: deadlocks across all of them",
		MinNodes: 2, MaxNodes: 4, MaxShards: 2, Delay: 4 * ms, Tail: 4, Slow: 2, Rests: 3000 * ms,
		Think: 20 * ms, Tick: 40 * ms, IdleAfter: 500 * ms, Drift: 100, Circles: true, Roots: 4, Locks: 6, Modes: byteModes,
		Weights: map[string]int{"bytes": 24, "cancel bytes": 3, "bytes meanwhile": 4, "create": 0, "convert": 1, "unlock": 2},
	},
	{
		Name: "parcels", About: "the same, with nodes that die and come back",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 2 * ms, Tail: 4, Slow: 2, Members: 2000 * ms, Rests: 3000 * ms,
		Think: 20 * ms, Tick: 40 * ms, IdleAfter: 500 * ms, Drift: 100, Circles: true, Roots: 4, Locks: 6, Modes: byteModes,
		Weights: map[string]int{"bytes": 24, "cancel bytes": 3, "bytes meanwhile": 4, "create": 0, "convert": 1, "unlock": 2},
	},
}

// Profiles gives the names of all profiles, and what each is about.
func Profiles() (names, abouts []string) {
	for i := range profiles {
		names, abouts = append(names, profiles[i].Name), append(abouts, profiles[i].About)
	}
	return names, abouts
}

// profileOf finds a profile, nil if there is none of that name.
func profileOf(name string) *Profile {
	for i := range profiles {
		if profiles[i].Name == name {
			return &profiles[i]
		}
	}
	return nil
}
