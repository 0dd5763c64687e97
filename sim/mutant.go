package sim

import ls "github.com/lockify-dlm/lockify/lockspace"

// bug is a deliberate bug in what the simulator itself stands for: a node's
// shared state, its clock.
type bug int

const (
	bugNone       bug = iota
	bugShardClock     // the token clock is each shard's own
	bugFenceGap       // the fence opens with the last claim closed, not when all before it are
	bugDrift          // clocks run apart by more than Config.Drift allows
)

// mutant is a deliberate bug that the checkers must find: a rule of the
// protocol that is switched off, or a mistake that somebody could make.
type mutant struct {
	name    string
	profile string // of the runs that find it soonest
	without ls.Rules
	bug     bug
	about   string
}

// A mutant is found in one of so many runs of so many steps, or it is not.
const (
	mutantSeeds = 400
	mutantSteps = 2000
)

var mutants = []mutant{
	{"no-fence", "gate", ls.NoFence, 0, "nothing waits for open claims (finding 1)"},
	{"no-gate-remove", "gate", ls.NoGateRemove, 0, "REMOVE leaves at once (1a)"},
	{"no-gate-down", "fresh", ls.NoGateDown, 0, "down-conversions leave at once (1)"},
	{"no-gate-unlock", "gate", ls.NoGateUnlock, 0, "UNLOCK leaves at once (1)"},
	{"no-gate-grant", "fresh", ls.NoGateGrant, 0, "GRANT leaves at once (1)"},
	{"no-idle-test", "reuse", ls.NoIdleTest, 0, "an adoption ends well whenever the master is idle now (2)"},
	{"no-not-yet", "reuse", ls.NoNotYet, 0, "a life that was only proposed counts as not mastered (4)"},
	{"no-order", "lazy", ls.NoOrder, 0, "held messages are overtaken (5)"},
	{"gate-answers", "reuse", ls.GateAnswers, 0, "answers to claims wait for the fence (6)"},
	{"close-at-reject", "reuse", ls.CloseAtReject, 0, "a rejected claim is closed at once (7)"},
	{"forget-unlock", "reuse", ls.ForgetUnlock, 0, "an unlock during an adoption is not sent (8)"},
	{"no-lock-ids", "hot", ls.NoLockIDs, 0, "UNLOCK matches by node alone (8)"},
	{"no-unique-life", "reuse", ls.NoUniqueLife, 0, "a life is a bare counter (9)"},

	{"fence-gap", "gate", 0, bugFenceGap, "the fence opens with the last claim closed, whatever came before it (1)"},
	{"drift", "reuse", 0, bugDrift, "clocks run apart by more than Config.Drift allows (2)"},
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
