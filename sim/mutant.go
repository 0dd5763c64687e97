package sim

import (
	"github.com/lockify-dlm/lockify/cluster"
	ls "github.com/lockify-dlm/lockify/lockspace"
)

// bug is a deliberate bug in what the simulator itself stands for: a node's
// shared state, its clock.
type bug int

const (
	bugNone         bug = iota
	bugShardClock       // the token clock is each shard's own
	bugFenceGap         // the fence opens with the last claim closed, not when all before it are
	bugDrift            // clocks run apart by more than Config.Drift allows
	bugFarDrift         // and by more than the terms of leases allow
	bugStaleClock       // a reading of the clock from before a stop is used after it
	bugNoLook           // a node looks at its lease in ticks only
	bugQuietEnd         // a node that is fenced begins anew, and tells its clients nothing
	bugReleaseFirst     // a node whose lease has ended unlocks what its clients hold, before it is fenced
	bugLeaveHolding     // a node leaves while its clients hold locks
	bugSkipViews        // of several views that are due only the last one is installed
	bugOldFrames        // links do not tell the starts of a node apart
	bugSameStore        // a voter without its store votes under the same number
)

// mutant is a deliberate bug that the checkers must find: a rule of the
// protocol that is switched off, or a mistake that somebody could make.
type mutant struct {
	name    string
	profile string // of the runs that find it soonest
	flaw    flaw
	about   string
}

// flaw is what is wrong with the cluster of a mutant.
type flaw struct {
	without  ls.Rules
	mistakes ls.Mistakes
	rules    cluster.Rules // of package cluster, that do not hold
	bug      bug
}

func rule(r cluster.Rules) flaw  { return flaw{rules: r} }
func off(rule ls.Rules) flaw     { return flaw{without: rule} }
func mistake(m ls.Mistakes) flaw { return flaw{mistakes: m} }

// A mutant is found in one of so many runs of so many steps, or it is not.
const (
	mutantSeeds = 1000
	mutantSteps = 2000
)

// mutants is the list: the rules of the protocol page with their findings, then
// mistakes.
var mutants = []mutant{
	{"no-fence", "publish", off(ls.NoFence), "nothing waits for open claims (1)"},
	{"no-gate-remove", "forget", off(ls.NoGateRemove), "REMOVE leaves at once (1a)"},
	{"no-gate-you", "forget", off(ls.NoGateYou), "YOU leaves at once (1b)"},
	{"no-gate-demote", "publish", off(ls.NoGateDemote), "CONVDEADLK and middle conversions leave at once (1c)"},
	{"no-gate-value", "publish", off(ls.NoGateValue), "value writes leave at once (1d)"},
	{"no-gate-down", "publish", off(ls.NoGateDown), "down-conversions leave at once (1)"},
	{"no-gate-unlock", "publish", off(ls.NoGateUnlock), "UNLOCK leaves at once (1)"},
	{"no-gate-grant", "publish", off(ls.NoGateGrant), "GRANT leaves at once (1)"},
	{"fence-gap", "publish", flaw{bug: bugFenceGap}, "the fence opens with the last claim closed, whatever came before it (1)"},
	{"no-idle-test", "reuse", off(ls.NoIdleTest), "an adoption ends well whenever the master is idle now (2)"},
	{"drift", "reuse", flaw{bug: bugDrift}, "clocks run apart by more than Config.Drift allows (2)"},
	{"forget-modes", "reuse", mistake(ls.ForgetModes), "a claim does not note which modes were granted under it (2)"},
	{"hide-conflict", "reuse", mistake(ls.HideConflict), "a conflict is not reported (2)"},
	{"no-not-yet", "recycle", off(ls.NoNotYet), "a life that was only proposed counts as not mastered (4)"},
	{"drop-early", "recycle", mistake(ls.DropEarly), "what names such a life is dropped, not kept (4)"},
	{"no-order", "lazy", off(ls.NoOrder), "held messages are overtaken (5)"},
	{"gate-answers", "reuse", off(ls.GateAnswers), "answers to claims wait for the fence (6)"},
	{"fresh-not-master", "recycle", off(ls.FreshNotMaster), "NOTMASTER takes a new fence number (6)"},
	{"wait-not-master", "relapse", off(ls.WaitNotMaster), "NOTMASTER to an adoption stands behind what is held for the claimant (6)"},
	{"reject-untold", "recycle", off(ls.RejectUntold), "a claim is rejected for a master that was never told (6)"},
	{"close-at-reject", "recycle", off(ls.CloseAtReject), "a rejected claim is closed at once (7)"},
	{"forget-unlock", "reuse", off(ls.ForgetUnlock), "an unlock during an adoption is not sent (8)"},
	{"no-lock-ids", "hot", off(ls.NoLockIDs), "UNLOCK matches by node alone (8)"},
	{"no-unique-life", "reuse", off(ls.NoUniqueLife), "a life is a bare counter (9)"},
	{"cancel-unknown", "cold", mistake(ls.CancelUnknown), "a cancel does not wait until the master is known (12)"},
	{"no-hold-notify", "crash", off(ls.NoHoldNotify), "a new directory node answers NOTIFY before all have registered (10)"},
	{"no-hold-lookup", "crash", off(ls.NoHoldLookup), "and LOOKUP (10)"},
	{"no-barrier", "crash", off(ls.NoBarrier), "and waits for nobody's DONE (10)"},
	{"no-register", "crash", off(ls.NoRegister), "a master does not register with a new directory node (10)"},
	{"take-old-answers", "heirs", off(ls.TakeOldAnswers), "answers of the old directory node count after DONE (11)"},
	{"no-resend", "crash", off(ls.NoResend), "an unanswered LOOKUP or NOTIFY is not sent again in a new view (11)"},
	{"take-old-forwards", "split", off(ls.TakeOldForwards), "forwarded requests of an older view are served (12)"},
	{"keep-dead", "crash", off(ls.KeepDead), "locks of nodes that are gone stay"},
	{"keep-dead-value", "crash", off(ls.KeepDeadValue), "a value stays valid when its writer dies"},
	{"trust-old-value", "crash", off(ls.TrustOldValue), "a value seen once is reported, whoever may have written since"},
	{"trust-mode", "heirs", off(ls.TrustMode), "a conversion that the dead master may have demoted counts as it was"},
	{"no-relay", "ranges", off(ls.NoRelay), "a directory node answers for a range that it has lent"},
	{"no-entries", "ranges", off(ls.NoEntries), "the entries stay behind when a range moves"},
	{"old-life", "domains", off(ls.OldLife), "an older life of the same master replaces a newer one"},
	{"trust-ranges", "fiefs", off(ls.TrustRanges), "names in ranges that have not moved are not registered in a new view"},
	{"no-gate-bytes", "posts", off(ls.NoGateBytes), "unlocks and downgrades of byte ranges leave at once (1)"},
	{"no-gate-byte-grant", "posts", off(ls.NoGateByteGrant), "grants of byte ranges, and that one is free, leave at once (1)"},
	{"overtake-bytes", "bytes", off(ls.OvertakeBytes), "an unlock of bytes takes effect before an earlier grant arrives"},
	{"claim-bytes", "squat", off(ls.ClaimBytes), "byte ranges are granted under an open claim"},
	{"repeat-bytes", "bytes", off(ls.RepeatBytes), "a RANGE that comes twice counts twice"},
	{"any-answer", "relapse", mistake(ls.AnyAnswer), "answers to a claim need not name its life and number"},
	{"hide-confirm", "publish", mistake(ls.HideConfirm), "holders do not hear that their claim is confirmed"},
	{"sticky-remove", "forget", mistake(ls.StickyRemove), "a REMOVE that has not left is not taken back"},
	{"keep-entry", "cold", mistake(ls.KeepEntry), "a directory node ignores REMOVE"},
	{"remove-in-use", "cold", mistake(ls.RemoveInUse), "an unused name is removed though locks wait for it"},
	{"keep-unlocked", "hot", mistake(ls.KeepUnlocked), "an unlock of another node's lock frees nothing"},
	{"pass-converts", "hot", mistake(ls.PassConverts), "a new request is granted beside conversions that wait"},
	{"pass-waiting", "hot", mistake(ls.PassWaiting), "a new request is granted beside others that wait"},
	{"queue-converts", "hot", mistake(ls.QueueConverts), "conversions are not done in place"},
	{"no-wake-unlock", "hot", mistake(ls.NoWakeUnlock), "an unlock does not look who can be granted now"},
	{"no-wake-cancel", "hot", mistake(ls.NoWakeCancel), "nor does a cancel"},
	{"no-wake-convert", "hot", mistake(ls.NoWakeConvert), "nor does a conversion"},
	{"no-second-look", "hot", off(ls.NoSecondLook), "what HEADQUE puts at the head of a queue waits there until something happens"},
	{"pass-silently", "lazy", off(ls.PassSilently), "what NOORDER or HEADQUE lets past others does not hear whom it blocks"},
	{"no-bast", "lazy", mistake(ls.NoBast), "holders are not told that they are in the way"},
	{"no-conv-deadlock", "hot", mistake(ls.NoConvDeadlock), "conversion deadlocks are not noticed"},
	{"hide-demotion", "hot", mistake(ls.HideDemotion), "a demotion is not reported"},
	{"keep-invalid", "hot", mistake(ls.KeepInvalid), "IVVALBLK leaves the value valid"},
	{"read-invalid", "hot", mistake(ls.ReadInvalid), "a value is read though it is not valid"},
	{"drop-value", "hot", mistake(ls.DropValue), "a conversion does not write the value"},
	{"keep-token", "hot", mistake(ls.KeepToken), "an up-conversion keeps the token it has"},
	{"no-shared-token", "hot", mistake(ls.NoSharedToken), "a shared grant carries no token"},
	{"no-verify", "owners", off(ls.NoVerify), "a deadlock counts without a second look at its edges"},
	{"no-ask-holder", "owners", off(ls.NoAskHolder), "nor are holders asked what they have given up already"},
	{"no-prune", "owners", off(ls.NoPrune), "each of a deadlock's owners finds it: more than one victim"},
	{"probe-once", "owners", mistake(ls.ProbeOnce), "a request looks for a deadlock once, and not again while it waits"},
	{"forget-wait", "owners", mistake(ls.ForgetWait), "a probe goes on with one of an owner's requests only"},
	{"forget-byte-wait", "plots", mistake(ls.ForgetByteWait), "an owner who waits for a byte range is not known to wait"},
	{"lease-from-answer", "leases", rule(cluster.RuleFromSending), "a lease counts from the answer to a renewal, not from its sending"},
	{"no-lease-wait", "leases", rule(cluster.RuleWait), "a view without a node is decided before its lease has ended"},
	{"lease-drift", "leases", rule(cluster.RuleDrift), "leases do not allow for drift"},
	{"no-renewal-quorum", "islands", rule(cluster.RuleQuorum), "a leader that may be none any more answers renewals"},
	{"no-election-wait", "leases", rule(cluster.RuleElectionWait), "a new leader does not wait for the leases that others have granted"},
	{"uncommitted", "voters", rule(cluster.RuleCommitted), "views count before they are committed"},
	{"replace-start", "leases", rule(cluster.RuleInstance), "a start of a node replaces the earlier one at once, whose clients may live"},
	{"no-self-fence", "sleep", rule(cluster.RuleSelfFence), "a member does not look at its lease"},
	{"own-vote", "guests", rule(cluster.RuleOthersVote), "a leader takes its own vote away"},
	{"same-store", "voters", flaw{bug: bugSameStore}, "a voter that has lost its store goes on under its number"},
	{"far-drift", "leases", flaw{bug: bugFarDrift}, "clocks are worse than the terms allow"},
	{"stale-clock", "sleep", flaw{bug: bugStaleClock}, "a reading of the clock from before a stop is used after it"},
	{"no-look", "sleep", flaw{bug: bugNoLook}, "a node looks at its lease in ticks only, not before it grants"},
	{"quiet-end", "leases", flaw{bug: bugQuietEnd}, "a node that is fenced begins anew, and tells its clients nothing"},
	{"release-first", "leases", flaw{bug: bugReleaseFirst}, "a node whose lease has ended unlocks what its clients hold, before it is fenced"},
	{"flush-at-fence", "leases", mistake(ls.FlushAtFence), "what is held back leaves when a node is fenced"},
	{"leave-holding", "guests", flaw{bug: bugLeaveHolding}, "a node leaves before its clients have given everything up"},
	{"take-former", "guests", off(ls.TakeFormer), "what a member has sent before it closed and opened the lockspace counts (17)"},
	{"skip-views", "agents", flaw{bug: bugSkipViews}, "of several views that are due only the last one is installed"},
	{"old-frames", "leases", flaw{bug: bugOldFrames}, "frames of an earlier start of a node count as those of the present one"},
	{"forget-owner", "clans", mistake(ls.ForgetOwner), "what is reported of a lock leaves out its owner"},
}

func mutantOf(name string) *mutant {
	for i := range mutants {
		if mutants[i].name == name {
			return &mutants[i]
		}
	}
	return nil
}

// Mutants gives the names of all deliberate bugs, and what each is about.
func Mutants() (names, abouts []string) {
	for i := range mutants {
		names, abouts = append(names, mutants[i].name), append(abouts, mutants[i].about)
	}
	return names, abouts
}

// MutantProfile gives the profile that finds a deliberate bug soonest, "" if
// there is no such bug.
func MutantProfile(name string) string {
	if m := mutantOf(name); m != nil {
		return m.profile
	}
	return ""
}
