package target_test

import (
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/uring"
)

// remote is a device that goes with its server.
type remote struct {
	*host.Device
	t    *testing.T
	stop func() error
}

func (r *remote) Close() error {
	err := r.Device.Close()
	if err := r.stop(); err != nil {
		r.t.Error(err)
	}
	return err
}

// attach connects a host to a server that exports dev.
func attach(t *testing.T, dev blockdev.Device, digests bool, spin time.Duration) blockdev.Device {
	t.Helper()
	s, addr := serve(t, target.Config{Spin: spin}, dev)
	d, err := host.Open(t.Context(), host.Config{
		Addr: addr, SubNQN: subNQN, HostNQN: hostNQN, HostID: [16]byte{1}, HeaderDigest: digests, DataDigest: digests,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &remote{Device: d, t: t, stop: s.Close}
}

// TestFile: what is behind host and target, with a device that takes its time, does what
// a device must do. Package host sees to the device in memory.
func TestFile(t *testing.T) {
	for _, spin := range []time.Duration{0, 20 * time.Microsecond} {
		t.Run(spin.String(), func(t *testing.T) {
			devtest.Run(t, func(t *testing.T) blockdev.Device {
				d, err := uring.Open(uring.Config{Path: devtestFile(t)})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = d.Close() })
				return attach(t, d, spin != 0, spin)
			})
		})
	}
}
