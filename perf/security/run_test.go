package security

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// daemon is the path of the lockifyd that TestMain has built.
var daemon string

// TestMain is the processes that Run starts, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "worker" {
		if err := Work(context.Background(), os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(built(m))
}

func built(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lockify-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	daemon = filepath.Join(dir, "lockifyd")
	build := exec.Command("go", "build", "-o", daemon, "github.com/lockify-dlm/lockify/cmd/lockifyd")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	// A process with the race detector would wait a second at its end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// smallest are options for as little as there is.
func smallest(t *testing.T) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Daemon: daemon, Worker: []string{self, "worker"}, Duration: 20 * time.Millisecond, Connections: 8}
}

// TestRun: an attack is done, the daemon holds, and all that is measured is there.
func TestRun(t *testing.T) {
	o := smallest(t)
	for only, want := range map[string][]Result{
		"frames":     {{Attack: "forged frames", Connections: 19}, {Attack: "truncated frames", Connections: 6}, {Attack: "replayed frames", Connections: 1}},
		"(nothing)":  {{Attack: "(nothing)", Control: true}},
		halfOpenName: {{Attack: halfOpenName, Connections: 8}},
	} {
		o.Only = only
		all, err := Run(t.Context(), o)
		if err != nil || len(all) != len(want) {
			t.Fatalf("%s: %d results, %v", only, len(all), err)
		}
		for i, r := range all {
			w := want[i]
			if r.Attack != w.Attack || r.Control != w.Control || r.Failed != "" || r.Rounds < 1 || r.Connections != int64(r.Rounds)*w.Connections {
				t.Errorf("%s: %+v", only, r)
			}
			// Not the processors: they are counted in ticks of 10 ms.
			if r.Before == 0 || r.After == 0 || r.NewcomerMS <= 0 {
				t.Errorf("what is measured of the daemon: %+v", r)
			}
			if r.Locks == 0 || r.DuringP50 <= 0 || r.During < r.DuringP50 || r.CalmP50 <= 0 || r.Calm < r.CalmP50 || r.Ratio() <= 0 || r.Slow < 0 || r.Slow > 1 {
				t.Errorf("what is measured of the victims: %+v", r)
			}
			if r.CalmAside <= 0 || r.DuringAside <= 0 || r.AsideRatio() <= 0 {
				t.Errorf("what is measured of the bystanders: %+v", r)
			}
			if strings.Contains(r.Attack, "frames") && r.Frames == 0 {
				t.Errorf("mallory has done nothing: %+v", r)
			}
		}
	}
}

// TestRunFinds: what is not as it should be is an error.
func TestRunFinds(t *testing.T) {
	o := smallest(t)
	r, err := start(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	astray := order{Addr: r.addr, Dir: r.dir, Number: r.number, Lock: r.lock, Nodes: r.unix}
	m, err := newMallory(astray)
	if err != nil {
		t.Fatal(err)
	}
	if out := m.work(t.Context(), turn{Attack: "node by a client's certificate"}); out.Failed == "" {
		t.Error("an attack that gets no answer has not failed")
	}
	if m.cert, err = certificate(r.dir, "victim"); err != nil {
		t.Fatal(err)
	}
	m.Lock = 0
	if out := m.work(t.Context(), turn{Attack: "lock of another lockspace"}); !strings.Contains(out.Failed, "mallory's own lockspace") {
		t.Errorf("somebody else has failed by: %q", out.Failed)
	}
	var res Result
	if err := r.check(t.Context(), &res); err != nil {
		t.Fatal(err)
	}
	if a, _ := r.ask(wire.Msg{Type: wire.UnlockReq, Lock: r.lock, Req: 9}); a.Status != wire.Unlocked {
		t.Fatalf("unlocked: %v", a.Status)
	}
	if err := r.check(t.Context(), &res); err == nil || !strings.Contains(err.Error(), "the witness has lost its lock") {
		t.Errorf("the witness has no lock: %v", err)
	}
}

// TestOnlyNothing: a name that is none of an attack is no reason to be content.
func TestOnlyNothing(t *testing.T) {
	o := smallest(t)
	o.Only = "no such attack"
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "slow reader") {
		t.Errorf("%v, want one that names the attacks", err)
	}
}
