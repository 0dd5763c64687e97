package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestMain makes this program a client process where it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "client-worker" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestLoad: the commands that need no daemon measure what they say.
func TestLoad(t *testing.T) {
	for name, x := range map[string]struct {
		cmd   *cobra.Command
		args  string
		check func(*loadReport) bool
	}{
		"closed":  {localCommand(), "--depth 2", func(r *loadReport) bool { return r.Runs[0].Frames == 0 }},
		"open":    {localCommand(), "--rate 1000 --duration 100ms", func(r *loadReport) bool { return r.Rate == 1000 }},
		"hold":    {localCommand(), "--hold 1000", func(r *loadReport) bool { return r.Runs[0].HeldBytes > 0 }},
		"cluster": {clusterCommand(), "--new --nodes 2", func(r *loadReport) bool { return r.Runs[0].Claims > 0 }},
		"remote":  {clusterCommand(), "--remote --nodes 2 --depth 2", func(r *loadReport) bool { return r.Runs[0].Frames > 0.5 && r.Runs[0].Claims == 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.json")
			x.cmd.SetArgs(append([]string{"--duration", "20ms", "--warm", "0", "--runs", "1", "--json", out}, strings.Fields(x.args)...))
			x.cmd.SetOut(new(strings.Builder))
			if err := x.cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			var r loadReport
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			if len(r.Runs) != 1 || r.Runs[0].PairsPerS <= 0 || r.Runs[0].Acquire.P50 <= 0 || !x.check(&r) {
				t.Errorf("%s", b)
			}
		})
	}
}

// TestLoadRefuses: what cannot be measured is said.
func TestLoadRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--depth 0":              "want 1 at least",
		"--runs 0":               "want 1 at least",
		"--names fresh":          "want new, own, spread or zipf",
		"--names zipf --count 0": "1 to",
		"--duration 0":           "more than 0",
	} {
		cmd := localCommand()
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		cmd.SetArgs(strings.Fields(args + " --quiet"))
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestExamples: the flags of each example are there.
func TestExamples(t *testing.T) {
	seen := 0
	for _, cmd := range root().Commands() {
		for line := range strings.Lines(cmd.Example) {
			seen++
			words := strings.Fields(line)
			of, args, err := root().Find(words[1:])
			if err == nil {
				err = of.ParseFlags(args)
			}
			if err != nil || words[0] != "lockbench" {
				t.Errorf("%s: %v", strings.TrimSpace(line), err)
			}
		}
	}
	if seen < 5 {
		t.Errorf("%d examples", seen)
	}
}
