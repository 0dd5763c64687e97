package lockify_test

import (
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestFenceDisks: as long as an embedded node is a member it may write to the disk, and
// who is none may not.
func TestFenceDisks(t *testing.T) {
	const nqn = "nqn.2026-01.example.lockify:shared"
	mem, err := blockdev.NewMemory(1<<20, 512)
	if err != nil {
		t.Fatal(err)
	}
	s, err := target.New(target.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err = s.AddSubsystem(target.Subsystem{
		SubsystemConfig: core.SubsystemConfig{NQN: nqn, AnyHost: true},
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: mem}},
	}); err != nil {
		t.Fatal(err)
	}
	_, addr, err := s.Listen(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	write := func(id [16]byte) error {
		d, err := host.Open(t.Context(), host.Config{Addr: addr.String(), SubNQN: nqn, HostID: id})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		disk, err := blockdev.NewIO(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		defer disk.Close()
		_, err = disk.WriteAt(make([]byte, 512), 0)
		return err
	}
	cfg := lockify.Config{
		ID: 1, NewCluster: true, Data: t.TempDir(), Listen: daemontest.FreeAddrs(t, 1)[0], Logger: quiet,
		FenceDisks: []lockify.FenceDisk{{Addr: addr.String(), NQN: nqn}},
	}
	n, err := lockify.StartNode(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := write(n.HostID()); err != nil {
		t.Error(err)
	}
	if err := write([16]byte{1}); err == nil {
		t.Error("anybody may write")
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := lockify.StartNode(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(t.Context())
	if err := write(n.HostID()); err == nil {
		t.Error("a node that was closed may write")
	}
}
