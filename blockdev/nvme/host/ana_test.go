package host

import (
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// TestEventWhileReading: an ANA event that comes while the page of the last one is being read does
// not have states taken from a page that is still empty.
func TestEventWhileReading(t *testing.T) {
	conn, err := newConn(connConfig{Commands: 8, Spare: 8})
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{Controller: &Controller{}, l: &link{conn: conn}}
	k.info.Identify.NANAGRPID, k.info.Identify.MNAN = 1, 1
	told := ending{User: userEvent, Result: (&nvme.AsyncEvent{Type: nvme.EventNotice, Info: nvme.NoticeANA, Log: nvme.LogANA}).Value()}
	page := func(st nvme.ANAState) {
		b := (&nvme.ANAHeader{Groups: 1}).Append(nil)
		copy(k.ana, (&nvme.ANAGroup{ID: 1, State: st, NSIDs: nvme.NSIDList{1, 0, 0, 0}}).Append(b))
	}
	k.ended(&told)
	page(nvme.ANAInaccessible)
	k.ended(&ending{User: userANA, Got: len(k.ana)})
	k.ended(&told)
	page(nvme.ANANonOptimized)
	k.ended(&told)
	k.ended(&ending{User: userANA, Got: len(k.ana)})
	if st := k.Controller.ana(1); st != nvme.ANAInaccessible {
		t.Errorf("%v before the latest page is there", st)
	}
	page(nvme.ANAOptimized)
	k.ended(&ending{User: userANA, Got: len(k.ana)})
	if st := k.Controller.ana(1); st != nvme.ANAOptimized {
		t.Errorf("%v when the latest page says it is optimized", st)
	}
}
