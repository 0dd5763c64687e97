package sim

import ls "github.com/lockify-dlm/lockify/lockspace"

// councilBound is the drift of clocks that councils agree on, in parts per million.
// Clocks that are really so bad show what is wrong with the counting soonest.
const councilBound = 50_000

// agreedViews are the profiles whose nodes agree on views themselves.
var agreedViews = []Profile{
	{
		Name: "leases", About: "the nodes agree on views and leases; they die, stop, leave, and are cut off, with clocks as wrong as they may be",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 500 * us, Tail: 4, Slow: 2, Members: 120 * ms, Rests: 1500 * ms,
		Think: 4 * ms, Tick: 20 * ms, IdleAfter: 40 * ms, Drift: councilBound, Roots: 3, Locks: 6, Modes: manyModes,
		Council: &Council{Stores: 3, Want: 3, Bound: councilBound, Faults: map[string]int{
			"crash": 3, "stop": 4, "cut": 5, "leave": 2, "close": 2, "remove": 1, "promote": 1, "resign": 1, "view": 1,
		}},
	},
	{
		Name: "voters", About: "the same with five voters, which lose their stores, lead for short, and are replaced",
		MinNodes: 5, MaxNodes: 5, MaxShards: 1, Delay: 500 * us, Tail: 4, Members: 60 * ms, Rests: 2000 * ms,
		Think: 8 * ms, Tick: 20 * ms, IdleAfter: 40 * ms, Drift: councilBound, Roots: 2, Locks: 3, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Council: &Council{Stores: 5, Want: 3, Bound: councilBound, Faults: map[string]int{
			"crash": 4, "stop": 2, "cut": 4, "remove": 1, "promote": 1, "resign": 2,
		}},
	},
	{
		Name: "sleep", About: "processes stop for longer than their leases, and find everything there when they go on",
		MinNodes: 3, MaxNodes: 4, MaxShards: 2, Delay: 4 * ms, Tail: 4, Members: 60 * ms, Rests: 1500 * ms,
		Think: 3 * ms, Tick: 40 * ms, IdleAfter: 40 * ms, Drift: councilBound, Roots: 2, Locks: 4, Modes: []ls.Mode{ls.NL, ls.PR, ls.PW, ls.EX, ls.EX},
		Council: &Council{Stores: 3, Want: 3, Bound: councilBound, Faults: map[string]int{"stop": 4, "view": 1}},
	},
	{
		Name: "islands", About: "five voters, which are split and stopped nearly always",
		MinNodes: 5, MaxNodes: 5, MaxShards: 1, Delay: 500 * us, Members: 120 * ms, Rests: 2000 * ms,
		Think: 8 * ms, Tick: 40 * ms, IdleAfter: 40 * ms, Drift: councilBound, Roots: 2, Locks: 3, Modes: []ls.Mode{ls.PR, ls.EX, ls.EX},
		Council: &Council{Stores: 5, Want: 5, Bound: councilBound, Faults: map[string]int{"split": 6, "stop": 1}},
	},
	{
		Name: "guests", About: "two voters, and nodes without a vote that come and go; another lockspace is opened and closed",
		MinNodes: 4, MaxNodes: 5, MaxShards: 1, Delay: 500 * us, Tail: 16, Slow: 10, SlowNew: 10, Members: 40 * ms, Rests: 1500 * ms,
		Think: 4 * ms, Tick: 20 * ms, IdleAfter: 20 * ms, Drift: 100, Roots: 2, Locks: 4, Modes: []ls.Mode{ls.NL, ls.PR, ls.PR, ls.PW, ls.EX, ls.EX},
		Weights: map[string]int{"create": 4, "convert": 6},
		Council: &Council{Stores: 2, Want: 2, Bound: 1000, Others: true, Faults: map[string]int{
			"leave": 8, "close": 8, "crash": 2, "stop": 1, "cut": 1, "view": 1, "remove": 1, "promote": 1, "resign": 1,
		}},
	},
	{
		Name: "agents", About: "fence agents end silent nodes, with their clients, before their leases have ended; byte ranges",
		MinNodes: 3, MaxNodes: 5, MaxShards: 2, Delay: 500 * us, Tail: 4, Members: 100 * ms, Rests: 1500 * ms,
		Think: 4 * ms, Tick: 20 * ms, IdleAfter: 40 * ms, Drift: 1000, Roots: 2, Locks: 4, Modes: byteModes, Weights: byteWeights,
		Council: &Council{Stores: 3, Want: 3, Bound: 1000, Agents: true, Faults: map[string]int{"crash": 3, "stop": 4, "cut": 4, "leave": 1}},
	},
	{
		Name: "lodgers", About: "as guests, with byte ranges, and mostly the lockspace alone is closed and opened",
		MinNodes: 3, MaxNodes: 4, MaxShards: 2, Delay: 500 * us, Tail: 16, Slow: 10, SlowNew: 10, Members: 40 * ms, Rests: 1500 * ms,
		Think: 4 * ms, Tick: 20 * ms, IdleAfter: 20 * ms, Drift: 100, Roots: 2, Locks: 4, Modes: byteModes, Weights: byteWeights,
		Council: &Council{Stores: 2, Want: 2, Bound: 1000, Others: true, Faults: comesAndGoes},
	},
	{
		Name: "tenants", About: "as lodgers, with delegated ranges and names that end instead of byte ranges",
		MinNodes: 3, MaxNodes: 4, MaxShards: 2, Delay: 500 * us, Tail: 16, Slow: 10, SlowNew: 10, Members: 40 * ms, Rests: 1500 * ms,
		Think: 2 * ms, Tick: 10 * ms, IdleAfter: 20 * ms, Drift: 100, Ranges: true, Roots: 3, Locks: 6, Modes: allModes,
		Weights: map[string]int{"create": 8, "deadline": 4, "retire": 8, "delegate": 6, "return": 6},
		Council: &Council{Stores: 2, Want: 2, Bound: 1000, Others: true, Faults: comesAndGoes},
	},
}

// comesAndGoes are the faults of profiles in which nodes close the lockspace, and open it again, all the time.
var comesAndGoes = map[string]int{"close": 12, "leave": 3, "crash": 1, "cut": 1, "view": 2}
