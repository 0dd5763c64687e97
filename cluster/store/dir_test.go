package store

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lockify-dlm/lockify/internal/durable"
)

// TestDurableDirs: when a store is open its file and the directories that were made for it are
// there also if the power fails.
func TestDurableDirs(t *testing.T) {
	root := t.TempDir()
	var synced []string
	durable.Sync = func(f *os.File) error {
		synced = append(synced, f.Name())
		return f.Sync()
	}
	t.Cleanup(func() { durable.Sync = (*os.File).Sync })
	look := func(want ...string) {
		t.Helper()
		for i := range want {
			want[i] = filepath.Join(root, want[i])
		}
		if !slices.Equal(synced, want) {
			t.Errorf("synced %q, want %q", synced, want)
		}
		synced = nil
	}
	first := open(t, filepath.Join(root, "a", "b", "file"), Options{Node: 3})
	look("a", "", "a/b")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// Who has made the file may have crashed before its directory was synced.
	open(t, filepath.Join(root, "a", "b", "file"), Options{Node: 3})
	look("a/b")
	if err := durable.MakeDir(filepath.Join(root, "a", "c")+"/", 0o700); err != nil {
		t.Error(err)
	}
	look("a")
	if err := durable.MakeDir(filepath.Join(root, "a", "b", "file", "x"), 0o700); err == nil {
		t.Error("a directory in a file")
	}
}
