package cluster

// Rules is a set of the rules that keep the cluster safe, which a test has
// switched off: the simulations switch off one at a time, and must find out.
// Production code leaves it zero.
type Rules uint32

// One bit for each rule.
const (
	RuleFromSending  Rules = 1 << iota // a lease counts from sending the renewal
	RuleWait                           // no view without a member before its lease has ended
	RuleDrift                          // both sides allow for drift
	RuleQuorum                         // a renewal is answered when a quorum has confirmed the leader
	RuleElectionWait                   // a new leader waits for the leases its predecessors have granted
	RuleCommitted                      // what is appended is not applied before it is committed
	RuleInstance                       // a start of a node does not replace an earlier one that may hold a lease
	RuleCondemned                      // no renewal once the view without the member is proposed
	RuleOnce                           // a command that comes twice counts once
	RuleSelfFence                      // a member whose lease has ended knows it
	RuleNoReturn                       // an instance that has gone is a member never again
	RuleOthersVote                     // a leader does not take its own vote away
	RuleVotersKept                     // a voter does not forget, in a crash, which voters there are
	RuleBar                            // with Bars nobody is out before he has been barred
)
