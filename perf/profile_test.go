package perf

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProfilesAreWritten(t *testing.T) {
	if strings.Join(ProfileKinds(), " ") != "cpu mem mutex block trace goroutine" {
		t.Errorf("kinds %v", ProfileKinds())
	}
	for _, k := range profileKinds {
		dir := filepath.Join(t.TempDir(), "deep", "er")
		stop, err := StartProfile(k.name, dir)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		if _, err := StartProfile(k.name, dir); !errors.Is(err, ErrProfiling) {
			t.Errorf("%s: second start: %v", k.name, err)
		}
		stop()
		stop()
		if st, err := os.Stat(filepath.Join(dir, k.file)); err != nil || st.Size() == 0 {
			t.Errorf("%s: %v, %v", k.name, st, err)
		}
	}
}

func TestProfileErrors(t *testing.T) {
	_, err := StartProfile("heap", t.TempDir())
	if !errors.Is(err, ErrProfileKind) || !strings.Contains(err.Error(), "cpu, mem, mutex, block, trace, goroutine") {
		t.Errorf("unknown kind: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		if _, err := StartProfile("mem", dir); err == nil {
			t.Errorf("directory %q: no error", dir)
		}
	}
	stop, err := StartProfile("goroutine", t.TempDir()) // a failed start leaves the way free
	if err != nil {
		t.Fatal(err)
	}
	stop()
}
