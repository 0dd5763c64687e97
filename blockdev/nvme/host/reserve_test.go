package host_test

import (
	"context"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
)

// reserver is a host with a ring and a key.
type reserver struct {
	t    *testing.T
	d    *host.Device
	ring *blockdev.Ring
	key  uint64
}

func newReserver(t *testing.T, addr string, key uint64) *reserver {
	r := &reserver{t: t, d: open(t, host.Config{Addr: addr}), key: key}
	var err error
	if r.ring, err = r.d.NewRing(context.Background(), blockdev.RingConfig{Depth: 4}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.ring.Close() })
	r.reserve(nvme.OpReservationRegister, nvme.Reservation{Action: nvme.Register}, nvme.ReservationKeys{Other: key})
	return r
}

func (r *reserver) reserve(op nvme.Opcode, p nvme.Reservation, keys nvme.ReservationKeys) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	var cmd nvme.Command
	p.NSID = 1
	cmd.SetReservation(op, &p, true)
	if _, err := r.d.Command(ctx, &cmd, keys.Append(nil)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *reserver) write() blockdev.Status {
	r.t.Helper()
	r.ring.GetSQE().PrepWrite(0, make([]byte, 512))
	r.ring.Submit()
	if err := r.ring.Wait(r.t.Context(), 1); err != nil {
		r.t.Fatal(err)
	}
	c, _ := r.ring.Peek()
	return c.Status
}

// A host that holds the reservation keeps others from writing, until one preempts it.
func TestReservation(t *testing.T) {
	addr := serve(t, 1<<20, 0)
	a, b := newReserver(t, addr, 1), newReserver(t, addr, 2)
	a.reserve(nvme.OpReservationAcquire, nvme.Reservation{Action: nvme.Acquire, Type: nvme.WriteExclusive}, nvme.ReservationKeys{Current: 1})
	if st := a.write(); st != blockdev.OK {
		t.Fatalf("the holder: %v", st)
	}
	if st := b.write(); st != blockdev.StatusReservation {
		t.Fatalf("another host: %v", st)
	}
	b.reserve(nvme.OpReservationAcquire, nvme.Reservation{Action: nvme.Preempt, Type: nvme.WriteExclusive}, nvme.ReservationKeys{Current: 2, Other: 1})
	if st := b.write(); st != blockdev.OK {
		t.Fatalf("the new holder: %v", st)
	}
	if st := a.write(); st != blockdev.StatusReservation {
		t.Fatalf("the host that was preempted: %v", st)
	}
}
