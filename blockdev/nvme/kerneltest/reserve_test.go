package kerneltest

import (
	"context"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// rival is another host than the guest: ours.
type rival struct {
	t    *testing.T
	dev  *host.Device
	ring *blockdev.Ring
}

func newRival(t *testing.T, addr string, nsid uint32) *rival {
	t.Helper()
	dev, err := host.Open(t.Context(), host.Config{Addr: addr, SubNQN: diskNQN, NSID: nsid})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := dev.NewRing(t.Context(), blockdev.RingConfig{Depth: 4})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ring.Close()
		dev.Close()
	})
	return &rival{t: t, dev: dev, ring: ring}
}

func (r *rival) reserve(op nvme.Opcode, p nvme.Reservation, k nvme.ReservationKeys) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), daemontest.Patience)
	defer cancel()
	if err := r.dev.Reserve(ctx, op, p, k); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rival) write() blockdev.Status {
	r.t.Helper()
	r.ring.GetSQE().PrepWrite(0, make([]byte, 4096))
	if _, err := r.ring.Submit(); err != nil {
		r.t.Fatal(err)
	}
	if err := r.ring.Wait(r.t.Context(), 1); err != nil {
		r.t.Fatal(err)
	}
	c, _ := r.ring.Peek()
	return c.Status
}

// reservations: the guest and our host keep each other from writing.
func (s *initiator) reservations(t *testing.T) {
	s.connect(t, "-i 2")
	defer s.disconnect(t)
	const guestKey, ourKey = 0xa1, 0xb2
	dev, r := s.dev(2), newRival(t, s.wire.to, 2)

	s.Run(t, "nvme resv-register %s --nrkey=%d --rrega=0 --cptpl=3", dev, guestKey)
	s.Run(t, "nvme resv-acquire %s --crkey=%d --rtype=1 --racqa=0", dev, guestKey)
	want(t, s.Run(t, "nvme resv-report %s --eds -o normal", dev), "regctl    : 1", "rtype     : 1", "ptpls     : 1", "rkey       : a1", "hostid     : "+strings.ReplaceAll(guestID, "-", ""))
	s.Run(t, "dd if=/tmp/data of=%s bs=4k count=1 oflag=direct 2>&1", dev)
	if st := r.write(); st != blockdev.StatusReservation {
		t.Fatalf("a write of another host than the guest, who holds the reservation: %v", st)
	}

	s.end(t, syscall.SIGKILL) // what was to persist does so
	s.start()
	s.await(t, "[ $(cat /sys/class/nvme/%s/state) = live ]", s.disk)
	want(t, s.Run(t, "nvme resv-report %s --eds -o normal", dev), "regctl    : 1", "rtype     : 1")
	if st := r.write(); st != blockdev.StatusReservation {
		t.Fatalf("the same, after a restart: %v", st)
	}

	r.reserve(nvme.OpReservationRegister, nvme.Reservation{Action: nvme.Register}, nvme.ReservationKeys{Other: ourKey})
	r.reserve(nvme.OpReservationAcquire, nvme.Reservation{Action: nvme.Preempt, Type: nvme.WriteExclusiveRegistrants}, nvme.ReservationKeys{Current: ourKey, Other: guestKey})
	if st := r.write(); st != blockdev.OK {
		t.Fatalf("the host that has preempted the guest writes: %v", st)
	}
	s.refuse(t, "exchange", "dd if=/tmp/data of=%s bs=4k count=1 oflag=direct 2>&1", dev)
	s.refuse(t, "conflict", "nvme resv-acquire %s --crkey=%d --rtype=1 --racqa=0", dev, guestKey)
	s.Run(t, "dd if=%s bs=4k count=1 iflag=direct 2>/dev/null | head -c 4096 >/tmp/rest; head -c 4096 /dev/zero | cmp - /tmp/rest", dev)

	s.Run(t, "nvme resv-register %s --nrkey=%d --rrega=0", dev, guestKey) // a registrant may write
	s.Run(t, "dd if=/tmp/data of=%s bs=4k count=1 oflag=direct 2>&1", dev)
	r.reserve(nvme.OpReservationRelease, nvme.Reservation{Action: nvme.Release, Type: nvme.WriteExclusiveRegistrants}, nvme.ReservationKeys{Current: ourKey})
	s.Run(t, "nvme resv-acquire %s --crkey=%d --rtype=2 --racqa=0", dev, guestKey)
	s.Run(t, "nvme resv-release %s --crkey=%d --rtype=2 --rrela=0", dev, guestKey)
	s.Run(t, "nvme resv-register %s --crkey=%d --rrega=1 --cptpl=2", dev, guestKey)
	if st := r.write(); st != blockdev.OK {
		t.Fatalf("nobody holds a reservation, and a write gives %v", st)
	}
	r.reserve(nvme.OpReservationRegister, nvme.Reservation{Action: nvme.Unregister}, nvme.ReservationKeys{Current: ourKey})
}
