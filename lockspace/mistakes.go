package lockspace

// Mistakes is a set of bugs that somebody could write, for the simulation
// (package sim) to show that it finds them. Production code leaves it zero.
type Mistakes uint64

// One bit per mistake.
const (
	PassConverts   Mistakes = 1 << iota // a new request is granted beside conversions that wait
	PassWaiting                         // a new request is granted beside others that wait
	QueueConverts                       // conversions are not done in place
	NoWakeUnlock                        // an unlock does not look who can be granted now
	NoWakeCancel                        // nor does a cancel
	NoWakeConvert                       // nor does a conversion
	NoBast                              // holders are not told
	NoConvDeadlock                      // conversion deadlocks are not noticed
	HideDemotion                        // a demotion is not reported
	KeepInvalid                         // IVVALBLK leaves the value valid
	ReadInvalid                         // a value is read though it is not valid
	DropValue                           // a conversion does not write the value
	KeepToken                           // an up-conversion keeps the token it has
	NoSharedToken                       // a shared grant carries no token
	KeepUnlocked                        // an unlock of another node's lock frees nothing
	CancelUnknown                       // a cancel does not wait until the master is known
	StickyRemove                        // a REMOVE that has not left is not taken back
	AnyAnswer                           // answers to a claim need not name its life and number
	RemoveInUse                         // an unused name is removed though locks wait for it
	DropEarly                           // messages kept until a LOOKUP is answered are dropped
	HideConfirm                         // holders do not hear that their claim is confirmed
	HideConflict                        // a conflict is not reported
	ForgetModes                         // a claim does not note which modes were granted under it
	NewAgain                            // New that has become a lookup is New again in the next view
	KeepEntry                           // a directory node ignores REMOVE
	ProbeOnce                           // a request looks for a deadlock once, and not again while it waits
	ForgetOwner                         // what is reported of a lock leaves out its owner
	ForgetWait                          // a probe goes on with one of the owner's requests only
	FlushAtFence                        // what is held back leaves when the shard is fenced
	ForgetByteWait                      // an owner who waits for a byte range is not known to wait
)
