package lockify

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// retired adds up the names whose end the nodes' programs have asked for.
func (e *env) retired() (n uint64) {
	for _, nd := range e.nodes {
		for _, sp := range nd.Stats().Spaces {
			for _, sh := range sp.Shards {
				n += sh.Retired
			}
		}
	}
	return n
}

// testRetire: a deleter ends names, of which either node may be master and
// directory; whoever creates them anew finds them fresh.
func testRetire(t *testing.T, e *env) {
	before := e.retired()
	for i := range uint64(8) {
		name := e.name()
		if i%2 == 0 {
			e.unlock(t, e.must(t, e.b, name, PR)) // b's node may be master
		}
		l := e.must(t, e.a, name, EX)
		other, err := e.b.TryLock(e.ctx, name, NL)
		expect(t, "NL beside EX", err, nil)
		expect(t, "Unlock with Retire", l.Unlock(e.ctx, Retire()), ErrInUse)
		expect(t, "Unlock again", l.Unlock(e.ctx), ErrNotHeld)
		e.unlock(t, other)
		e.unlock(t, e.must(t, e.b, name, EX)) // so that its unlock has arrived when the next one is granted
		l = e.must(t, e.a, name, EX)
		expect(t, "Unlock with Retire", l.Unlock(e.ctx, Retire(), WithValue([]byte("gone"))), nil)
		expect(t, "Unlock again", l.Unlock(e.ctx), ErrNotHeld)
		if isClosed(l.Lost()) {
			t.Error("retired counts as lost")
		}
		again := e.must(t, e.b, name, EX, New())
		wait(t, e.ctx, "the confirmation", again.Confirmed())
		if isClosed(again.Lost()) {
			t.Error("the name was not fresh")
		}
		done := make(chan error, 1)
		again.UnlockAsync(func(err error) { done <- err }, Retire())
		expect(t, "UnlockAsync with Retire", <-done, nil)
		if got := e.retired() - before; got != 2*(i+1) {
			t.Fatalf("%d names are retired, want %d", got, 2*(i+1))
		}
	}
}

// A retirement of which nobody knows how it ended is the end of the lock.
func TestRetireCancelled(t *testing.T) {
	for st, want := range map[wire.Status]bool{wire.Cancelled: true, wire.InUse: true, wire.Limit: false, wire.Unlocked: false} {
		if retired(st) != want {
			t.Errorf("%v: %v", st, !want)
		}
	}
}
