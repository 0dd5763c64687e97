package core_test

import (
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// reserve makes a reservation command.
func reserve(op nvme.Opcode, p nvme.Reservation, k nvme.ReservationKeys) (*nvme.Command, []byte) {
	var c nvme.Command
	p.NSID = 1
	c.SetReservation(op, &p, true)
	b := k.Append(nil)
	if op == nvme.OpReservationRelease {
		b = b[:nvme.ReservationReleaseSize]
	}
	return &c, b
}

func (h *host) register(key uint64) {
	h.t.Helper()
	c, b := reserve(nvme.OpReservationRegister, nvme.Reservation{Action: nvme.Register}, nvme.ReservationKeys{Other: key})
	h.want(nvme.StatusSuccess, c, b)
}

// acquire sends a Reservation Acquire, which need not end at once.
func (h *host) acquire(a nvme.ReservationAction, t nvme.ReservationType, key, other uint64) uint16 {
	c, b := reserve(nvme.OpReservationAcquire, nvme.Reservation{Action: a, Type: t}, nvme.ReservationKeys{Current: key, Other: other})
	return h.submit(c, b)
}

// TestPreemptWaitsForWrites: the answer to a Preempt is a promise that the host which was
// preempted writes no more.
func TestPreemptWaitsForWrites(t *testing.T) {
	tg, p, _ := newTarget(t)
	_, a := pair(t, tg, p, nvme.ICReq{}, 1)
	_, b := pair(t, tg, p, nvme.ICReq{}, 2)
	a.register(10)
	b.register(20)
	if st := b.done[b.acquire(nvme.Acquire, nvme.WriteExclusiveRegistrants, 20, 0)].Status; !st.OK() {
		t.Fatal(st)
	}
	old := pattern(4096, 3)
	b.hold = true
	early := b.submit(write(1, 0, old, true), old)
	late := b.submit(write(1, 64, old, false), old) // its data has not come yet

	cid := a.acquire(nvme.PreemptAndAbort, nvme.WriteExclusiveRegistrants, 10, 20)
	if _, ended := a.done[cid]; ended {
		t.Fatal("a Preempt is answered while the device has a write of the host that it ends")
	}
	b.letGo()
	if st := b.done[early].Status; !st.OK() {
		t.Fatalf("the write that the device had: %v", st)
	}
	b.pump(0) // tells that it has ended
	if a.woken == 0 {
		t.Fatal("the host that waits was not woken")
	}
	a.pump(0)
	if r, ended := a.done[cid]; !ended || !r.Status.OK() {
		t.Fatalf("Preempt: ended %v, %v", ended, r.Status)
	}
	b.answer(4096)
	if st := b.done[late].Status.Code(); st != nvme.StatusReservation {
		t.Fatalf("the write whose data came later: %v", st)
	}
	b.want(nvme.StatusReservation, write(1, 0, old, true), old)
	a.want(nvme.StatusSuccess, write(1, 0, old, true), old)
	b.expect(1, 0, old) // reading is allowed
}
