package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

//go:embed variants.txt
var table string

// variant is one line of the table.
type variant struct {
	model    string
	want     string   // "verified" or "violated"
	full     bool     // only with -full
	switches []string // NAME=value, for the preprocessor
}

func (v *variant) String() string { return strings.Join(append([]string{v.model}, v.switches...), " ") }

// result is what a check has found.
type result struct {
	got    string // "verified", "violated", or why it is neither
	states string
	why    string        // violated: spin's own words
	cpu    time.Duration // of spin, the compiler and the search
}

const (
	limit    = 20 * time.Minute // of one search
	maxDepth = "200000"         // steps of one trace
	maxWhy   = 48               // characters of spin's own words
)

func main() {
	full := flag.Bool("full", false, "the large variants, too")
	run := flag.String("run", "", "only variants that match this regular expression")
	dir := flag.String("dir", "models", "where the models are")
	flag.Parse()
	only, err := regexp.Compile(*run)
	if err != nil {
		fail(err)
	}
	variants, err := parse(table)
	if err != nil {
		fail(err)
	}
	variants = slices.DeleteFunc(variants, func(v variant) bool {
		return v.full && !*full || !only.MatchString(v.String())
	})
	workers := runtime.NumCPU()
	if *full {
		workers = 1 // a large one takes much of a machine's memory
	}
	results := checkAll(*dir, variants, workers)
	wrong, cpu := 0, time.Duration(0)
	fmt.Printf("%-40s %9s %6s  %-8s  %s\n", "variant", "states", "cpu s", "expected", "verdict")
	for i := range variants {
		v, r := &variants[i], <-results[i]
		cpu += r.cpu
		verdict := r.got
		if r.why != "" {
			verdict += ": " + r.why
		}
		if r.got != v.want {
			wrong++
			verdict += "   WRONG"
		}
		fmt.Printf("%-40s %9s %6.1f  %-8s  %s\n", v, r.states, r.cpu.Seconds(), v.want, verdict)
	}
	fmt.Printf("%d variants, %d with a wrong verdict, %.0f s of processor time\n", len(variants), wrong, cpu.Seconds())
	if wrong != 0 || len(variants) == 0 {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "models:", err)
	os.Exit(1)
}

// parse reads the table: model, verdict, switches; "full" before the verdict
// marks the large ones, # begins a comment.
func parse(text string) ([]variant, error) {
	var out []variant
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		v := variant{model: f[0]}
		f = f[1:]
		if len(f) > 0 && f[0] == "full" {
			v.full, f = true, f[1:]
		}
		if len(f) == 0 || f[0] != "verified" && f[0] != "violated" {
			return nil, fmt.Errorf("variants.txt:%d: the verdict must be verified or violated", i+1)
		}
		v.want, v.switches = f[0], f[1:]
		for _, s := range v.switches {
			if !strings.Contains(s, "=") {
				return nil, fmt.Errorf("variants.txt:%d: %q is not NAME=value", i+1, s)
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// checkAll checks the variants in order, some at a time; each has a channel for its result.
func checkAll(dir string, variants []variant, workers int) []chan result {
	results := make([]chan result, len(variants))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	var next atomic.Int64
	for range workers {
		go func() {
			for i := next.Add(1) - 1; i < int64(len(variants)); i = next.Add(1) - 1 {
				results[i] <- check(dir, &variants[i])
			}
		}()
	}
	return results
}

// check builds the verifier of v in a directory of its own and runs it.
func check(dir string, v *variant) result {
	model, err := filepath.Abs(filepath.Join(dir, v.model+".pml"))
	if err != nil {
		return result{got: err.Error()}
	}
	tmp, err := os.MkdirTemp("", "lockify-model")
	if err != nil {
		return result{got: err.Error()}
	}
	defer os.RemoveAll(tmp)
	spin := []string{"-a"}
	for _, s := range v.switches {
		spin = append(spin, "-D"+s)
	}
	var cpu time.Duration
	if out, err := command(tmp, &cpu, "spin", append(spin, model)...); err != nil {
		return result{got: fmt.Sprintf("spin: %v: %s", err, out)}
	}
	optimize := "-O0" // the compiler takes longer than most searches
	if v.full {
		optimize = "-O2"
	}
	if out, err := command(tmp, &cpu, cmp.Or(os.Getenv("CC"), "gcc"), optimize, "-w",
		"-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=4096", "-o", "pan", "pan.c"); err != nil {
		return result{got: fmt.Sprintf("the C compiler: %v: %s", err, out)}
	}
	out, err := command(tmp, &cpu, "./pan", "-m"+maxDepth)
	if err != nil && !isExit(err) {
		return result{got: err.Error()}
	}
	r := verdict(out)
	r.cpu = cpu
	return r
}

// command runs a program in dir, gives what it has written, and adds up the
// processor time.
func command(dir string, cpu *time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = dir
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if c.ProcessState != nil {
		*cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.String(), err
}

// isExit says that the program has ended by itself, with a status: the
// verifier's report tells more than its status.
func isExit(err error) bool {
	e := new(exec.ExitError)
	return errors.As(err, &e) && e.Exited()
}

var (
	errorCount = regexp.MustCompile(`(?m)errors: (\d+)\s*$`)
	stateCount = regexp.MustCompile(`(?m)^\s*([0-9.e+]+) states, stored`)
	reason     = regexp.MustCompile(`(?m)^pan:\d+: (.*)$`)
)

// verdict reads the verifier's report. A search that found nothing but was not
// complete is no verification.
func verdict(report string) result {
	r := result{states: "?"}
	if m := stateCount.FindStringSubmatch(report); m != nil {
		r.states = m[1]
	}
	m := errorCount.FindStringSubmatch(report)
	switch {
	case m == nil:
		r.got = "no report: " + report
	case m[1] != "0":
		r.got = "violated"
		if w := reason.FindStringSubmatch(report); w != nil {
			r.why = w[1]
			if len(r.why) > maxWhy {
				r.why = r.why[:maxWhy] + "..."
			}
		}
	case strings.Contains(report, "Search not completed"), strings.Contains(report, "max search depth too small"),
		strings.Contains(report, "out of memory"):
		r.got = "incomplete search"
	default:
		r.got = "verified"
	}
	return r
}
