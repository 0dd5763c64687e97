package host_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
)

// TestTshark has a dissector written by others read what host and target of this
// repository say to each other: each operation, small and large, with and without
// digests.
func TestTshark(t *testing.T) {
	for _, digests := range []bool{false, true} {
		t.Run(fmt.Sprintf("digests=%v", digests), func(t *testing.T) {
			c := newCutter(t, serve(t, 4<<20, 0))
			everything(t, host.Config{Addr: c.ln.Addr().String(), SubNQN: subNQN, HeaderDigest: digests, DataDigest: digests})
			c.ln.Close()
			c.wg.Wait()
			got := c.tape.Check(t, "nvme-tcp.type")
			for _, kind := range []string{"0", "1", "4", "5", "6", "7", "9"} {
				if !slices.Contains(got["nvme-tcp.type"], kind) {
					t.Errorf("no PDU of type %s: there are %d others", kind, len(got["nvme-tcp.type"]))
				}
			}
		})
	}
}

// TestTsharkRare is the same for what is not part of each session: discovery,
// reservations, and what an end says before it gives a connection up.
func TestTsharkRare(t *testing.T) {
	c := newCutter(t, serve(t, 4<<20, 0))
	addr := c.ln.Addr().String()
	t.Run("sessions", func(t *testing.T) {
		entries, err := host.Discover(t.Context(), host.Config{Addr: addr})
		if err != nil || len(entries) == 0 {
			t.Errorf("%d entries are discovered, %v", len(entries), err)
		}
		r := newReserver(t, addr, 7)
		r.reserve(nvme.OpReservationAcquire, nvme.Reservation{Action: nvme.Acquire, Type: nvme.WriteExclusive}, nvme.ReservationKeys{Current: 7})
		var cmd nvme.Command
		cmd.SetReport(nvme.Report{NSID: 1, Extended: true, Length: 4096})
		if _, err := r.d.Command(t.Context(), &cmd, make([]byte, 4096)); err != nil {
			t.Error(err)
		}
		r.reserve(nvme.OpReservationRelease, nvme.Reservation{Action: nvme.Release, Type: nvme.WriteExclusive}, nvme.ReservationKeys{Current: 7})
		breakOff(t, addr)
	})
	c.ln.Close()
	c.wg.Wait()
	got := c.tape.Check(t, "nvme-tcp.type", "nvme.cmd.opc")
	if !slices.Contains(got["nvme-tcp.type"], "3") {
		t.Error("no C2HTermReq is in the capture")
	}
	for _, op := range []nvme.Opcode{nvme.OpReservationRegister, nvme.OpReservationReport, nvme.OpReservationAcquire, nvme.OpReservationRelease} {
		if !slices.Contains(got["nvme.cmd.opc"], fmt.Sprintf("0x%02x", uint8(op))) {
			t.Errorf("tshark sees no command %#02x: %v", uint8(op), slices.Compact(got["nvme.cmd.opc"]))
		}
	}
}

// breakOff begins a connection as no host does, and reads until the target ends it.
func breakOff(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write((&nvme.ICReq{PFV: 1}).Append(nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Error(err)
	}
}

// everything does each operation, and leaves.
func everything(t *testing.T, cfg host.Config) {
	t.Helper()
	d, err := host.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	ring, err := d.NewRing(context.Background(), blockdev.RingConfig{Depth: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	small, large := make([]byte, 4096), make([]byte, 256<<10)
	for i, prep := range []func(*blockdev.SQE){
		func(s *blockdev.SQE) { s.PrepWrite(0, small) },
		func(s *blockdev.SQE) { s.PrepWrite(0, large) },
		func(s *blockdev.SQE) { s.PrepRead(0, small) },
		func(s *blockdev.SQE) { s.PrepRead(0, large) },
		func(s *blockdev.SQE) { s.PrepFlush() },
		func(s *blockdev.SQE) { s.PrepCompare(0, small) },
		func(s *blockdev.SQE) { s.PrepCompareWrite(0, small, make([]byte, 4096)) },
		func(s *blockdev.SQE) { s.PrepWriteZeroes(0, 1<<20) },
		func(s *blockdev.SQE) { s.PrepDeallocate(0, 1<<20) },
		func(s *blockdev.SQE) { s.PrepVerify(0, 1<<20) },
	} {
		prep(ring.GetSQE())
		ring.Submit()
		if err := ring.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if c, _ := ring.Peek(); c.Status != blockdev.OK {
			t.Fatalf("operation %d: %v", i, c.Status)
		}
	}
}
