package recovery

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMeasure: what is measured on a small cluster is there, and no lock is lost.
func TestMeasure(t *testing.T) {
	daemon := filepath.Join(t.TempDir(), "lockifyd")
	build := exec.Command("go", "build", "-o", daemon, "github.com/lockify-dlm/lockify/cmd/lockifyd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	o := Options{Nodes: 3, Sizes: []Size{{Locks: 3000, Affected: 1000}}, Lease: 2 * time.Second, Daemon: daemon, Weighed: 1000}
	rep, err := Measure(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	r := &rep.Runs[0]
	if r.Locks != 3000 || r.Affected != 1000 || r.DetectMS <= 0 || r.RecoverMS <= 0 || r.MasterBytes <= 0 {
		t.Errorf("%+v", r)
	}
	// Each affected lock is reported, or looked up, at least once.
	if r.Lost != 0 || r.Messages < 1000 || r.Bytes == 0 || r.Unaffected.Max < r.Unaffected.P50 || r.UnaffectedSteady.Max > r.Unaffected.Max || r.Slow < 0 || r.Slow > 1 || r.AffectedPause.Max == 0 {
		t.Errorf("%+v", r)
	}
}

func TestMeasureRefuses(t *testing.T) {
	for _, o := range []Options{{Nodes: 2}, {Nodes: 3, Sizes: []Size{{10, 3}}}, {Nodes: 3, Sizes: []Size{{10, 0}}}} {
		if _, err := Measure(t.Context(), o); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}
