package cluster

// rules are the rules that keep the cluster safe. The simulation switches one
// off at a time, and must find out.
type rules uint32

const (
	ruleFromSending  rules = 1 << iota // a lease counts from sending the renewal
	ruleWait                           // no view without a member before its lease has ended
	ruleDrift                          // both sides allow for drift
	ruleQuorum                         // a renewal is answered when a quorum has confirmed the leader
	ruleElectionWait                   // a new leader waits for the leases its predecessors have granted
	ruleCommitted                      // what is appended is not applied before it is committed
	ruleInstance                       // a start of a node does not replace an earlier one that may hold a lease
	ruleCondemned                      // no renewal once the view without the member is proposed
	ruleOnce                           // a command that comes twice counts once
	ruleSelfFence                      // a member whose lease has ended knows it
	ruleNoReturn                       // an instance that has gone is a member never again
	ruleOthersVote                     // a leader does not take its own vote away
)
