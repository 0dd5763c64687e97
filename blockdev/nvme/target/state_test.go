package target

import (
	"path/filepath"
	"testing"
)

// TestStateDir: what is kept is there again; directories that are missing are made.
func TestStateDir(t *testing.T) {
	d := &stateDir{dir: filepath.Join(t.TempDir(), "a", "b") + "/"}
	if data, err := d.Load(1); data != nil || err != nil {
		t.Fatalf("%q %v", data, err)
	}
	for _, text := range []string{"first", "second"} {
		if err := d.Save(1, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if data, err := d.Load(1); string(data) != text || err != nil {
			t.Fatalf("%q %v, want %q", data, err, text)
		}
	}
	in := &stateDir{dir: filepath.Join(d.file(1), "below")}
	if err := in.Save(1, nil); err == nil {
		t.Error("a directory in a file")
	}
}
