package lockspace

// Rules is a set of protocol rules that a test has switched off, to show that
// its scenario needs them. Production code leaves it zero.
type Rules uint64

// One bit per rule; the findings are those of the protocol page (docs/protocol.md).
const (
	NoFence        Rules = 1 << iota // 1: nothing waits for open claims
	NoGateYou                        // 1b: YOU leaves at once
	NoGateRemove                     // 1a: REMOVE leaves at once
	NoGateDemote                     // 1c: CONVDEADLK and middle conversions leave at once
	NoGateDown                       // 1: down-conversions leave at once
	NoGateValue                      // 1d: value writes leave at once
	NoGateUnlock                     // 1: UNLOCK leaves at once
	NoGateGrant                      // 1: GRANT leaves at once
	NoIdleTest                       // 2: an adoption ends well whenever the master is idle now
	TrustClaims                      // 2: a master takes a value over before the adoption is known to be clean
	NoNotYet                         // 4: a life we proposed ourselves counts as "not master"
	NoOrder                          // 5: held messages are overtaken
	GateAnswers                      // 6: CONFIRM, REJECT, ADOPT and ADOPTED wait for the fence too
	CloseAtReject                    // 7: a rejected claim is closed before the adoption is answered
	ForgetUnlock                     // 8: an unlock during adoption is not sent to the master
	NoLockIDs                        // 8: UNLOCK matches by node alone, not by lock id
	NoUniqueLife                     // 9: a life is a bare counter; REMOVE matches it alone
	FreshNotMaster                   // 6: NOTMASTER takes a new fence number
	WaitNotMaster                    // 6: NOTMASTER to an adoption stands behind what is held for the claimant
	RejectUntold                     // 6: a claim is rejected for a master whose YOU is held still
	NoSecondLook                     // what HEADQUE puts at the head of a queue waits there until something happens
	PassSilently                     // what NOORDER or HEADQUE lets past others does not hear whom it blocks
	ForgetWill                       // a forced unlock forgets what it was to write
	NoRelay                          // delegation: the directory node answers for a range that it has lent
	NoEntries                        // delegation: the entries stay behind when a range moves
	NoGateRange                      // delegation: DELEGATE and RETURN do not wait for open claims
	RemoveLeaving                    // delegation: names are removed from a range that is about to move
	AnswerLeaving                    // delegation: YOU is given out in a range that is about to move
	OldLife                          // delegation: an older life of the same master replaces a newer one
	TrustRanges                      // delegation: names in ranges that have not moved are not registered again in a new view

	NoHoldNotify    // 10: a new directory node answers NOTIFY before all have registered
	NoHoldLookup    // 10: and LOOKUP
	TrustFree       // 10: one that goes on being it says that a name is free before all have told of their claims
	NoBarrier       // 10: and waits for nobody's DONE
	NoRegister      // 10: a master does not register with a new directory node
	TakeOldAnswers  // 11: answers of the old directory node count after DONE
	TrustOldEntry   // 11: who knows of a claim from the directory node of an older view confirms it
	NoResend        // 11: an unanswered LOOKUP or NOTIFY is not sent again
	TakeOldForwards // 12: forwarded requests of an older view are served
	ReportReleased  // 1e: recovery reports leave out what is released, but held back
	KeepDead        // recovery: locks of nodes that are gone stay
	KeepDeadValue   // recovery: a value stays valid when its writer dies
	TrustOldValue   // recovery: a value seen once is reported, whoever may have written since
	TrustMode       // recovery: a conversion that the dead master may have demoted counts as it was
	TrustAnyGrant   // recovery: and one that has come with a lock that excludes no writer

	NoGateBytes     // 1: unlocks and downgrades of byte ranges leave at once
	NoGateByteGrant // 1: grants of byte ranges, and that one is free, leave at once
	OvertakeBytes   // byte ranges: an unlock takes effect here before an earlier grant arrives
	ClaimBytes      // byte ranges: granted under an open claim
	AskReleases     // recovery: an unlock or downgrade of bytes that is not answered is asked anew, and reported as if it had not been made
	RepeatBytes     // byte ranges: a RANGE that comes twice counts twice

	NoVerify    // deadlock: a cycle counts without a second look at its edges
	NoAskHolder // deadlock: the second look does not ask whether holders have given up what their masters still see
	NoPrune     // deadlock: a path goes on through younger owners, so that each finds the cycle

	WrapTokens  // tokens: the counter runs over into the epoch
	TrustClocks // tokens: a clock is taken over however far ahead it is

	RetireBlind // 2: a retirement does not wait for the acknowledgement

	ForgetRecorded   // 9: that the directory has recorded a claim during its adoption is forgotten
	RemoveUnrecorded // recovery: a name is removed before its registration is known to have been recorded

	TakeFormer // 17: what a member has sent before it left, and came back as the same instance, counts

	TrustMemory // 2: a claim counts on masters that keep unused names for all of IdleAfter
)
