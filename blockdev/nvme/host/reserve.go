package host

import (
	"context"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Reserve does a Reservation Register, Acquire or Release (op) on the device's
// namespace, which p.NSID need not say. All controllers of a host (Config.HostID) share
// its registration, which outlives them. Errors: nvme.StatusReservation where a key or a
// type is not what it should be, other values of nvme.Status; with any other error nobody
// knows whether it was done.
func (d *Device) Reserve(ctx context.Context, op nvme.Opcode, p nvme.Reservation, k nvme.ReservationKeys) error {
	var cmd nvme.Command
	p.NSID = d.ns.ID
	cmd.SetReservation(op, &p, true)
	data := k.Append(nil)
	if op == nvme.OpReservationRelease {
		data = data[:nvme.ReservationReleaseSize]
	}
	_, err := d.Command(ctx, &cmd, data)
	return err
}

// reportSize is the bytes of a Reservation Report that is asked for first: enough for 63
// registrants.
const reportSize = 4096

// Reservations asks who is registered and which reservation there is. A host is in it
// once for each of its controllers. What does not fit into a transfer of the largest size
// is left out: then Total is above len(Registrants).
func (d *Device) Reservations(ctx context.Context) (nvme.ReservationStatus, error) {
	s := nvme.ReservationStatus{Extended: true}
	for size := reportSize; ; {
		var cmd nvme.Command
		cmd.SetReport(nvme.Report{NSID: d.ns.ID, Extended: true, Length: uint64(size)})
		data := make([]byte, size)
		end, err := d.command(ctx, &cmd, data)
		if err != nil {
			return s, err
		}
		// The controller need not fill what is beyond the last registrant; what it has not filled
		// is none.
		if err := s.Decode(data[:end.Got]); err != nil {
			return s, err
		}
		if len(s.Registrants) >= s.Total {
			return s, nil
		}
		whole := nvme.ReservationStatus{Extended: true, Registrants: make([]nvme.Registrant, s.Total)}
		limit := d.info.MaxTransfer
		switch {
		case size >= whole.Size():
			return s, fmt.Errorf("%w: a report of %d registrants, of which %d came", nvme.ErrTruncated, s.Total, len(s.Registrants))
		case size >= limit:
			return s, nil
		}
		size = min(limit, max(2*size, whole.Size()))
	}
}
