package node

import (
	"testing"

	"github.com/lockify-dlm/lockify/lockspace"
)

// quiet is an owner that hears nothing.
type quiet struct{}

func (quiet) Complete(uint64, uint64, *lockspace.Completion) {}
func (quiet) Blocking(uint64, lockspace.Mode)                {}
func (quiet) Confirmed(uint64)                               {}
func (quiet) Lost(uint64)                                    {}
func (quiet) Bytes(uint64, uint64, *lockspace.ByteOutcome)   {}

// Of what is granted at once some are measured, and all are counted; nothing is
// allocated for that. Who waits is measured, though this node does not look at the clock
// for each operation.
func TestGrantsCounted(t *testing.T) {
	r := testRunner(t)
	sp := r.space
	const n = 1000
	var id uint64
	var grant lockspace.Grant
	lock := func() {
		sp.LockHere(&lockspace.Request{Mode: lockspace.EX, User: Owner(quiet{}), Tag: 1, Here: &grant}, "a", 0, &id)
		sp.UnlockHere(quiet{}, id, 0, nil, 2) // in the shard's inbox, if a tick is inside just now
	}
	for range n {
		lock()
	}
	st := sp.Stats()
	h := &st.Grants[lockspace.AtOnce]
	if h.Total() != n || h.Nanos == 0 || h.Counts[0] == n && h.Nanos > 128*n {
		t.Errorf("%d granted at once: %+v", n, *h)
	}
	done := uint64(0)
	for _, d := range st.Done {
		done += d
	}
	if done != 2*n {
		t.Errorf("%d operations were done, want %d", done, 2*n)
	}
	// What finds somebody inside waits in the inbox, which is memory; a tick that was stopped inside
	// makes that all of them.
	allocs := testing.AllocsPerRun(n, lock)
	for tries := 1; allocs >= 1 && tries < 10; tries++ {
		sp.Stats() // behind who is inside
		allocs = testing.AllocsPerRun(n, lock)
	}
	if allocs >= 1 {
		t.Errorf("%v allocations for a lock and its unlock", allocs)
	}
	first := sp.Lock(quiet{}, []byte("a"), lockspace.EX, 0, 0, 0, 1)
	began := r.node.now()
	second := sp.Lock(quiet{}, []byte("a"), lockspace.EX, 0, 0, 0, 1)
	sp.Unlock(quiet{}, first, 0, nil, 2)
	st = sp.Stats() // behind all that
	most := uint64(r.node.now() - began)
	if h := &st.Grants[lockspace.Waited]; h.Total() != 1 || h.Nanos == 0 || h.Nanos > most {
		t.Errorf("one has waited, for up to %d ns: %+v", most, *h)
	}
	sp.Unlock(quiet{}, second, 0, nil, 2)
}
