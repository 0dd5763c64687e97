package replay

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMain makes this binary a worker when a run starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "replay-worker" {
		if err := Work(context.Background(), os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func run(t *testing.T, o Options, protocols ...string) *Report {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Worker = []string{self, "replay-worker"}
	o.Transport = "netpoll"
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	rep, err := Run(ctx, o, protocols...)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// The number of messages does not depend on the machine: it is a matter of
// names and the protocol. critical is what new locks wait for, per creation.
func TestReplay(t *testing.T) {
	daemon := filepath.Join(t.TempDir(), "lockifyd")
	build := exec.Command("go", "build", "-o", daemon, "github.com/lockify-dlm/lockify/cmd/lockifyd")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range []struct {
		name      string
		o         Options
		newPerOp  float64
		critical  float64 // expected of lookups: 2 messages for each new lock whose directory is elsewhere
		statuses  int
		basts     int
		allPhases bool
	}{
		{"gfs2, 2 nodes", Options{Trace: "gfs2-2node", Nodes: 2}, 2, 2.0, 5875, 855, true},
		{"gfs2, 5 nodes", Options{Trace: "gfs2-2node", Nodes: 5}, 2, 3.2, 5875, 855, true},
		{"ocfs2, 2 nodes", Options{Trace: "ocfs2-2node", Nodes: 2}, 4, 4.0, 5171, 639, true},
		{"ocfs2, 5 nodes", Options{Trace: "ocfs2-2node", Nodes: 5}, 4, 6.4, 5171, 639, true},
		{"gfs2, 5 nodes, delay", Options{Trace: "gfs2-2node", Nodes: 5, RTT: 100 * time.Microsecond, Until: "create", Repeat: 2}, 2, 3.2, 942, 2, false},
		{"gfs2, 5 daemons", Options{Trace: "gfs2-2node", Nodes: 5, Socket: true, Daemon: daemon}, 2, 3.2, 5875, 855, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep := run(t, c.o, Lookup, Notify)
			for name, p := range rep.Protocols {
				k := p.Check
				if k.Statuses != k.StatusesEqual || k.Basts != k.BastsEqual || k.BastsExtra != 0 {
					t.Errorf("%s: differs from the kernel: %+v", name, k)
				}
				if k.Statuses != c.statuses || k.Basts != c.basts {
					t.Errorf("%s: %d statuses and %d basts compared, want %d and %d", name, k.Statuses, k.Basts, c.statuses, c.basts)
				}
				if p.Claims.Open != 0 || p.Claims.Lost != 0 || p.Claims.Adopted != 0 || p.Claims.Made != p.Claims.Confirmed {
					t.Errorf("%s: claims %+v", name, p.Claims)
				}
				x := p.Phases["create"]
				if x == nil {
					t.Fatalf("%s: no phase create in %v", name, p.Order)
				}
				if x.NewPerOp != c.newPerOp {
					t.Errorf("%s: %v new locks per creation, want %v", name, x.NewPerOp, c.newPerOp)
				}
				if name == Notify && x.Messages.Critical != 0 {
					t.Errorf("notify: creations waited for %v messages each", x.Messages.Critical)
				}
				if name == Lookup && (x.Messages.Critical < c.critical*0.85 || x.Messages.Critical > c.critical*1.15) {
					t.Errorf("lookup: %v messages on the critical path, want %v within 15 %%", x.Messages.Critical, c.critical)
				}
			}
			if made := rep.Protocols[Lookup].Claims.Made; made != 0 {
				t.Errorf("lookup made %d claims", made)
			}
			if made := rep.Protocols[Notify].Claims.Made; made == 0 {
				t.Error("notify made no claim")
			}
		})
	}
}

func TestUnion(t *testing.T) {
	for _, c := range []struct {
		spans [][2]int64
		want  int64
	}{
		{nil, 0},
		{[][2]int64{{5, 9}}, 4},
		{[][2]int64{{5, 9}, {1, 2}}, 5},
		{[][2]int64{{1, 5}, {3, 9}, {4, 6}}, 8},
	} {
		if got := unionNS(c.spans); got != c.want {
			t.Errorf("%v: %d, want %d", c.spans, got, c.want)
		}
	}
}
