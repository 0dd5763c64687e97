package sim

import (
	"context"
	"errors"
	"flag"
	"testing"
)

var seedsFlag = flag.Int("seeds", 12, "seeds of each profile")

// TestProfiles: no invariant fails, each is looked at, and what the runs are
// for does happen.
func TestProfiles(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short TestSame runs all profiles")
	}
	var all Stats
	var evals [invariants]uint64
	for _, p := range profiles {
		t.Run(p.Name, func(t *testing.T) {
			steps := 0
			var stats Stats
			for seed := uint64(1); seed <= uint64(*seedsFlag); seed++ {
				cfg := Config{Seed: seed, Profile: p.Name, Steps: 4000}
				res, err := Run(cfg)
				if err != nil {
					t.Fatal(err)
				}
				if res.Failure != nil {
					tell(t, cfg)
					t.Fatalf("seed %d: %v", seed, res.Failure)
				}
				steps += res.Steps
				stats.Add(&res.Stats)
				for i, n := range res.Evals {
					evals[i] += n
				}
			}
			all.Add(&stats)
			t.Logf("%d steps: %+v", steps, stats)
			if !p.Reuse && stats.Lost+stats.Adopted != 0 {
				t.Errorf("claims were rejected, and no name was used wrongly: %+v", stats)
			}
		})
	}
	for i, n := range evals {
		t.Logf("%v: %d", invariant(i), n)
		if n == 0 {
			t.Errorf("nobody has looked at %v", invariant(i))
		}
	}
	if all.ValidReads == 0 || all.Deadlocks == 0 || all.Demoted == 0 || all.Adopted == 0 || all.Lost == 0 ||
		all.Resent == 0 || all.Held == 0 || all.Overlaps == 0 || all.Cuts == 0 || all.ByteGrants == 0 ||
		all.ByteDeadlocks == 0 || all.Posted == 0 || all.Circles == 0 || all.Phantoms == 0 ||
		all.Fenced == 0 || all.Leaves == 0 || all.Stops == 0 || all.Splits == 0 || all.Wiped == 0 || all.Ended == 0 {
		t.Errorf("something never happened: %+v", all)
	}
}

// tell logs a failure, made short.
func tell(t *testing.T, cfg Config) {
	t.Helper()
	story, err := Shrink(cfg)
	if err != nil || story == nil {
		t.Fatalf("seed %d fails once, not twice: %v", cfg.Seed, err)
	}
	for _, l := range story.Lines {
		t.Log(l)
	}
}

// TestSame: a seed is a run.
func TestSame(t *testing.T) {
	hashes := map[uint64]string{}
	for _, p := range profiles {
		for seed := uint64(1); seed <= 2; seed++ {
			cfg := Config{Seed: seed, Profile: p.Name, Steps: 2000}
			first, err := Run(cfg)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Trace = true // which must change nothing
			again, err := Run(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if first.Hash != again.Hash || first.Steps != again.Steps {
				t.Errorf("%s, seed %d: %d steps and hash %x, then %d and %x", p.Name, seed, first.Steps, first.Hash, again.Steps, again.Hash)
			}
			if other := hashes[first.Hash]; other != "" {
				t.Errorf("%s and %s are the same run", p.Name, other)
			}
			hashes[first.Hash] = p.Name
		}
	}
}

// TestMutants: each deliberate bug is found. It is one goroutine and long, so that it
// has no place under the race detector (make race).
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short")
	}
	for i := range mutants {
		m := &mutants[i]
		t.Run(m.name, func(t *testing.T) {
			c := Campaign{Clock: func() int64 { return 0 }}
			rep, err := c.hunt(m)
			if err != nil {
				t.Fatal(err)
			}
			if !rep.Found {
				t.Fatalf("not found: %s", m.about)
			}
			t.Logf("%s: %s, seed %d of %s, step %d", m.about, rep.Invariant, rep.Seed, m.profile, rep.Step)
		})
	}
}

// TestShrink: the account of a failure is short, and of the same failure.
func TestShrink(t *testing.T) {
	c := Campaign{Clock: func() int64 { return 0 }}
	found, err := c.hunt(mutantOf("no-fence"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Seed: found.Seed, Profile: found.Profile, Steps: mutantSteps, Mutant: "no-fence"}
	res, err := Run(cfg)
	if err != nil || res.Failure == nil {
		t.Fatalf("%v, %+v", err, res)
	}
	story, err := Shrink(cfg)
	if err != nil || story == nil {
		t.Fatalf("%v, %+v", err, story)
	}
	if story.Failure.Invariant != res.Failure.Invariant || len(story.Lines) == 0 || story.Ops*4 > story.Of {
		t.Errorf("%v became %v, %d of %d operations, %d lines", res.Failure, story.Failure, story.Ops, story.Of, len(story.Lines))
	}
}

func TestUnknown(t *testing.T) {
	if _, err := Run(Config{Profile: "none"}); err == nil {
		t.Error("a profile that does not exist")
	}
	if _, err := Run(Config{Profile: "fresh", Mutant: "none"}); err == nil {
		t.Error("a mutant that does not exist")
	}
}

// TestCampaignEnds: it goes on for no longer than its context.
func TestCampaignEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, skip := range []bool{false, true} {
		c := Campaign{Clock: func() int64 { return 0 }, Budget: 1, Skip: skip}
		if _, err := c.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("without mutants %v: %v", skip, err)
		}
	}
}
