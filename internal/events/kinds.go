package events

// Log is the kind of what is logged without a kind of its own.
const Log = "log"

// Kinds are the kinds of events that a node has, as package node names them, and Log.
var Kinds = []string{
	"session-begin", "session-end", "lockspace-open", "lockspace-close", "members", "joined", "fenced", "view", "recovery-begin",
	"recovery-end", "link-up", "link-down", "claim-conflict", "deadlock", "locks-lost", "wait-long", "wait-end", Log,
}
