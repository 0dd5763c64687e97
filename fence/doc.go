// Package fence is for whoever guards what the locks are about, such as a
// storage server: it refuses requests under a lock that its holder has lost
// without knowing.
//
// A holder can be stopped for longer than its lock lasts (SIGSTOP, a paused
// virtual machine, a long collection of garbage) and then go on writing. No
// lock manager can prevent that from its side. But each grant of lockify
// carries a fencing token, Lock.Token, and tokens of a name grow from one
// exclusive holder to the next. So the holder sends its token with each
// request, and the server remembers the highest one for each name:
//
//	if err := gate.Check(name, token); err != nil {
//		return err // a later holder has been here
//	}
//
// # Contract
//
//   - A token below the highest one that was accepted for the name is refused
//     with ErrStale. Equal tokens are accepted: shared holders carry that of the
//     last exclusive grant, and a holder sends many requests.
//   - Token 0 is none, and is refused with ErrNoToken; a name that no lock can have,
//     with ErrName.
//   - Check only says that no later holder has been here when it was called. What
//     is still being done when a later holder comes is covered by Do.
//   - A holder whose claim is open (lockify.New, until Lock.Confirmed) must not use
//     its token: should the claim be wrong, the token would shut out the
//     legitimate holder.
//   - All methods may be called from several goroutines.
//
// # Memory
//
// A Gate keeps at most Limit names. Over that it forgets those that were not
// asked about for longest, half of them at once, and remembers the highest of
// their tokens as its floor: a name that it does not know is refused below the
// floor. That never lets an old token in. It may refuse a legitimate holder whose
// token is old and who comes for the first time, or for the first time since
// very many others; that one gives its lock up and asks anew.
//
// # Restart
//
// What a Gate must not forget goes to its Log, before it is acted upon, and
// comes back through Restore. Without a Log a server that restarts accepts each
// name's first token, however old.
package fence
