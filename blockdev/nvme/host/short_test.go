package host

import (
	"errors"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// A report that does not come as a whole is none: who is missing may be registered.
func TestShortReport(t *testing.T) {
	f := newFake(t)
	d := openFake(t, f, nil)
	r := nvme.ReservationStatus{Extended: true, Registrants: []nvme.Registrant{{Key: 1}, {Key: 2, HostID: [16]byte{2}}}}
	report := r.Append(nil)
	for n := 0; n <= len(report); n += 4 {
		f.mu.Lock()
		f.report = report[:n]
		f.mu.Unlock()
		s, err := d.Reservations(testContext(t))
		if n < len(report) && !errors.Is(err, nvme.ErrTruncated) {
			t.Errorf("%d bytes of %d: %+v, %v", n, len(report), s, err)
		}
		if n == len(report) && (err != nil || len(s.Registrants) != 2 || s.Registrants[1] != r.Registrants[1]) {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

// A command that succeeds without its data has not read it.
func TestShortCommands(t *testing.T) {
	d := openFake(t, newFake(t), nil)
	cmd := nvme.Command{Opcode: 0xc2} // the fake does nothing, and it has data for the host
	if _, err := d.Command(testContext(t), &cmd, make([]byte, 8)); !errors.Is(err, nvme.ErrTruncated) {
		t.Errorf("on an I/O queue: %v", err)
	}
	if _, err := d.Controller().Admin(testContext(t), &cmd, make([]byte, 8)); !errors.Is(err, nvme.ErrTruncated) {
		t.Errorf("on the admin queue: %v", err)
	}
	if _, err := d.Controller().Admin(testContext(t), &cmd, nil); err != nil {
		t.Errorf("without data: %v", err)
	}
}

// A log of which namespaces are reached how, of which a part is missing, does not say that all are
// reached well.
func TestShortANALog(t *testing.T) {
	g := nvme.ANAGroup{ID: 1, State: nvme.ANAInaccessible, NSIDs: nvme.AppendNSIDs(nil, []uint32{1})[:4]}
	whole := g.Append((&nvme.ANAHeader{Groups: 1}).Append(nil))
	for _, n := range []int{0, nvme.ANAHeaderSize, len(whole)} {
		f := newFake(t)
		f.id.CMIC, f.id.NANAGRPID, f.anaLog = nvme.MultiANA, 1, whole[:n]
		d, err := Open(testContext(t), Config{Addr: f.start(), SubNQN: fakeNQN})
		if n < len(whole) && !errors.Is(err, nvme.ErrTruncated) {
			t.Errorf("%d bytes of %d: %v", n, len(whole), err)
		}
		if err == nil {
			if st := d.c.ana(1); st != nvme.ANAInaccessible {
				t.Error(st)
			}
			d.Close()
		}
	}
}
