package lockify_test

import (
	"path/filepath"
	"testing"

	"github.com/lockify-dlm/lockify"
)

// TestHostID: the programs of a node have one identity towards disks, those of another
// start another one.
func TestHostID(t *testing.T) {
	sock := "unix://" + filepath.Join(t.TempDir(), "s")
	ids := map[[16]byte]int{}
	for range 2 {
		n, err := lockify.StartNode(t.Context(), lockify.Config{ID: 7, Clients: []string{sock}})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c, err := lockify.Dial(t.Context(), sock)
			if err != nil {
				t.Fatal(err)
			}
			id, ok := c.Session().HostID()
			if !ok || id[11] != 7 || id != n.HostID() {
				t.Fatalf("host ID %x, %v; that of the node is %x", id, ok, n.HostID())
			}
			ids[id]++
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(ids) != 2 {
		t.Fatalf("%d identities of two starts", len(ids))
	}
}
