package disk

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMeasure: each job gives figures, and each limit is compared with something.
func TestMeasure(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limits are measured with Linux's system calls")
	}
	bench := filepath.Join(t.TempDir(), "lockbench")
	build := exec.Command("go", "build", "-o", bench, "github.com/lockify-dlm/lockify/cmd/lockbench")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var jobs []Job
	for _, j := range Jobs() {
		if j.Bytes == largeBytes || j.Depth == 1 {
			jobs = append(jobs, j)
		}
	}
	rep, err := Measure(t.Context(), Options{
		Worker: []string{bench, "disk-worker"}, Jobs: jobs, Rounds: 1, Duration: 20 * time.Millisecond, Spin: 50 * time.Microsecond,
		Size: 1 << 20, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Cases) != len(jobs) || len(rep.Ratios) != 10 {
		t.Fatalf("%d cases, %d ratios", len(rep.Cases), len(rep.Ratios))
	}
	for _, c := range rep.Cases {
		if c.IOPS <= 0 || c.HostCPU <= 0 || c.Path != PathStream && (c.P50 <= 0 || c.P99 < c.P50) {
			t.Errorf("%+v", c)
		}
		if c.Path == PathNVMe && c.TargetCPU <= 0 {
			t.Errorf("the target has done nothing: %+v", c)
		}
	}
}

func TestMeasureRefuses(t *testing.T) {
	good := Options{Worker: []string{"false"}, Rounds: 1, Duration: time.Second, Size: 1 << 20}
	for _, change := range []func(*Options){
		func(o *Options) { o.Worker = nil },
		func(o *Options) { o.Rounds = 0 },
		func(o *Options) { o.Duration = 0 },
		func(o *Options) { o.Size = 1<<20 + 1 },
	} {
		o := good
		if change(&o); o.validate() == nil {
			t.Errorf("%+v: no error", o)
		}
	}
	// A worker that ends says so.
	if _, err := Measure(t.Context(), good); err == nil || !strings.Contains(err.Error(), "receiver") {
		t.Errorf("%v", err)
	}
}

func TestRatios(t *testing.T) {
	round := func(n int64, p50 float64) Round { return Round{Seconds: 1, Requests: n, P50: p50} }
	cases := []Case{
		newCase(Job{PathStream, "write", largeBytes, 1, false}, []Round{round(100, 0), round(10, 0), round(100, 0)}),
		newCase(Job{PathNVMe, "read", largeBytes, largeDepth, false}, []Round{round(80, 9), round(8, 9), round(30, 9)}),
		newCase(Job{PathNVMe, "write", largeBytes, largeDepth, false}, []Round{round(60, 9), round(6, 9), round(60, 9)}),
	}
	got := ratios(cases)
	if len(got) != 2 || got[0].Value != 0.8 || !got[0].OK || got[1].Value != 0.6 || got[1].OK {
		t.Errorf("%+v", got)
	}
}
