package main

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestExportKilled: a reservation that is to persist is in force after a kill -9, and one
// that is not is gone.
func TestExportKilled(t *testing.T) {
	addr, dir := daemontest.FreeAddrs(t, 1)[0], t.TempDir()
	file := configFile(t, `id = 1
clients = ["unix://`+dir+`/s"]
admin = "off"
data = "`+filepath.Join(dir, "data")+`"
[[export]]
nqn        = "`+exportNQN+`"
listen     = ["`+addr+`"]
namespaces = ["memory:1MiB", "memory:1MiB"]
any_host   = true
`)
	d := daemontest.Start(t, "--config", file)
	for nsid, persist := range []nvme.Persist{1: nvme.PersistOn, 2: nvme.PersistOff} {
		if nsid == 0 {
			continue
		}
		dev := openExport(t, addr, uint32(nsid))
		register := nvme.Reservation{Action: nvme.Register, Persist: persist}
		acquire := nvme.Reservation{Action: nvme.Acquire, Type: nvme.WriteExclusive}
		if err := dev.Reserve(t.Context(), nvme.OpReservationRegister, register, nvme.ReservationKeys{Other: 7}); err != nil {
			t.Fatal(err)
		}
		if err := dev.Reserve(t.Context(), nvme.OpReservationAcquire, acquire, nvme.ReservationKeys{Current: 7}); err != nil {
			t.Fatal(err)
		}
	}
	d.Signal(t, syscall.SIGKILL)
	<-d.Done()
	daemontest.Start(t, "--config", file)
	for nsid, want := range []nvme.ReservationType{1: nvme.WriteExclusive, 2: nvme.NoReservation} {
		if nsid == 0 {
			continue
		}
		s, err := openExport(t, addr, uint32(nsid)).Reservations(t.Context())
		if err != nil || s.Type != want || len(s.Registrants) != int(want) {
			t.Fatalf("namespace %d: %+v, %v", nsid, s, err)
		}
	}
}

const exportNQN = "nqn.2026-01.example.lockify:disk"

// openExport makes a device of a namespace of exportNQN, always as the same host.
func openExport(t *testing.T, addr string, nsid uint32) *host.Device {
	t.Helper()
	dev, err := host.Open(t.Context(), host.Config{Addr: addr, SubNQN: exportNQN, HostID: [16]byte{1}, NSID: nsid, Retry: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}
