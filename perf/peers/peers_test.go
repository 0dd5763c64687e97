package peers

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/perf/rig"
)

// TestMeasure: each system gives figures, and each figure of which something is wanted is
// there, as far as its servers are installed.
func TestMeasure(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limits are measured with Linux's system calls")
	}
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "github.com/lockify-dlm/lockify/cmd/lockbench", "github.com/lockify-dlm/lockify/cmd/lockifyd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rep, err := Measure(t.Context(), Options{
		Self: []string{filepath.Join(dir, "lockbench"), "client-worker"}, Programs: rig.Programs{Lockifyd: filepath.Join(dir, "lockifyd")},
		Rounds: 1, Duration: 10 * time.Millisecond, Held: 1000, Only: []string{"fast", "creations", "held", "syscalls"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range rep.Systems {
		if s.Acquire.P50 <= 0 || s.Acquire.P99 < s.Acquire.P50 || len(s.PairsPerS) == 0 {
			t.Errorf("%+v", s)
		}
		for depth, v := range s.PairsPerS {
			if v <= 0 {
				t.Errorf("%s: %v pairs a second at %s", s.Name, v, depth)
			}
		}
	}
	want := 7 + 2*2 + 1 + 7 // embedded; ping-pongs; shared memory; figures
	if rep.Skipped["redis"] == "" {
		want += 2 * 5
	} else {
		t.Log("NOT TESTED:", rep.Skipped["redis"])
	}
	if rep.Skipped["syscalls"] == "" {
		want += 2 // through the socket, and through memory
	}
	// In so short a time no collection and no tick of 10 ms of a processor may fall, and
	// nothing is compared with 0.
	const unseen = 3
	if len(rep.Ratios) > want || len(rep.Ratios) < want-unseen {
		t.Errorf("%d ratios, want %d: %+v", len(rep.Ratios), want, rep.Ratios)
	}
	for key, v := range rep.Figures {
		if v < 0 {
			t.Errorf("%s: %v", key, v)
		}
	}
}

// TestMedian takes a value that was measured, never one between two.
func TestMedian(t *testing.T) {
	if m := median([]float64{9, 1, 4, 2}); m != 2 {
		t.Error(m)
	}
	if m := median([]float64(nil)); m != 0 {
		t.Error(m)
	}
}
