package sim

import "context"

// Campaign is many runs: the deliberate bugs, each of which must be found, and
// then seeds over all profiles, none of which may fail, until the time is up.
type Campaign struct {
	Budget   int64           // ns by Clock; at most one run longer
	Clock    func() int64    // ns; monotonic
	Steps    int             // of each run, before it is wound down
	Seed     uint64          // the first one; 0: 1
	Last     uint64          // the last one; 0: until the time is up
	Profiles []string        // none: all
	Skip     bool            // leave the deliberate bugs out
	Progress func(p *Report) // called between runs; nil: nobody looks
	// Spread calls do with 0 to n-1, in any order and at the same time if it likes, and
	// returns when all have returned; nil: one after the other. What comes of it is the
	// same.
	Spread func(n int, do func(i int))
}

// Report is the outcome of a campaign.
type Report struct {
	Steps        int               `json:"steps"`       // without those of mutants
	StepsPerS    float64           `json:"steps_per_s"` // checks included
	Seeds        int               `json:"seeds"`
	Violations   int               `json:"violations"`
	MutantsTotal int               `json:"mutants_total"`
	MutantsFound int               `json:"mutants_found"`
	Invariants   []InvariantReport `json:"invariants"`
	Profiles     []ProfileReport   `json:"profiles"`
	Mutants      []MutantReport    `json:"mutants"`
	Failures     []RunReport       `json:"failures,omitempty"`
}

// InvariantReport says how often an invariant was looked at.
type InvariantReport struct {
	Name        string `json:"name"`
	Evaluations uint64 `json:"evaluations"`
}

// ProfileReport says what the runs of a profile did.
type ProfileReport struct {
	Name  string `json:"name"`
	Seeds int    `json:"seeds"`
	Steps int    `json:"steps"`
	Stats Stats  `json:"stats"`
}

// MutantReport says what has found a deliberate bug.
type MutantReport struct {
	Name      string  `json:"name"`
	About     string  `json:"about"`
	Profile   string  `json:"profile"`
	Found     bool    `json:"found"`
	Invariant string  `json:"invariant,omitempty"`
	Seed      uint64  `json:"seed,omitempty"` // the first that found it
	Step      int     `json:"step,omitempty"`
	Seconds   float64 `json:"seconds"` // until it was found, all seeds before included
}

// RunReport is a run that failed.
type RunReport struct {
	Seed      uint64 `json:"seed"`
	Profile   string `json:"profile"`
	Steps     int    `json:"steps"`
	Invariant string `json:"invariant"`
	Text      string `json:"text"`
	Step      int    `json:"step"`
}

// maxFailures ends a campaign: one is enough to mend.
const maxFailures = 3

// Run runs the campaign. When ctx ends it does so behind the runs that are under way.
func (c *Campaign) Run(ctx context.Context) (*Report, error) {
	rep := &Report{}
	for i := range invariantNames {
		rep.Invariants = append(rep.Invariants, InvariantReport{Name: invariantNames[i]})
	}
	start := c.Clock()
	if !c.Skip {
		rep.MutantsTotal = len(mutants)
		if err := c.huntAll(ctx, rep); err != nil {
			return nil, err
		}
	}
	names := c.Profiles
	if len(names) == 0 {
		names, _ = Profiles()
	}
	for _, name := range names {
		rep.Profiles = append(rep.Profiles, ProfileReport{Name: name})
	}
	began := c.Clock()
	for seed := max(c.Seed, 1); c.Clock()-start < c.Budget && rep.Violations < maxFailures && (c.Last == 0 || seed <= c.Last); seed++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := c.all(rep, seed); err != nil {
			return nil, err
		}
		rep.Seeds++
		rep.StepsPerS = float64(rep.Steps) / (float64(c.Clock()-began) / 1e9)
		c.progress(rep)
	}
	return rep, nil
}

func (c *Campaign) progress(rep *Report) {
	if c.Progress != nil {
		c.Progress(rep)
	}
}

func (c *Campaign) spread(n int, do func(i int)) {
	if c.Spread != nil {
		c.Spread(n, do)
		return
	}
	for i := range n {
		do(i)
	}
}

// all runs one seed of each profile.
func (c *Campaign) all(rep *Report, seed uint64) error {
	results, errs := make([]*Result, len(rep.Profiles)), make([]error, len(rep.Profiles))
	c.spread(len(results), func(i int) {
		results[i], errs[i] = Run(Config{Seed: seed, Profile: rep.Profiles[i].Name, Steps: c.Steps})
	})
	for i, res := range results {
		if errs[i] != nil {
			return errs[i]
		}
		c.count(rep, &rep.Profiles[i], seed, res)
	}
	return nil
}

// count adds a run to the report.
func (c *Campaign) count(rep *Report, p *ProfileReport, seed uint64, res *Result) {
	rep.Steps += res.Steps
	p.Steps += res.Steps
	p.Seeds++
	p.Stats.Add(&res.Stats)
	for i, n := range res.Evals {
		rep.Invariants[i].Evaluations += n
	}
	if f := res.Failure; f != nil {
		rep.Violations++
		rep.Failures = append(rep.Failures, RunReport{
			Seed: seed, Profile: p.Name, Steps: c.Steps, Invariant: f.Invariant, Text: f.Text, Step: f.Step,
		})
	}
}

// huntAtOnce is how many deliberate bugs are hunted between two looks at the progress.
const huntAtOnce = 8

// huntAll looks for all deliberate bugs.
func (c *Campaign) huntAll(ctx context.Context, rep *Report) error {
	for from := 0; from < len(mutants); from += huntAtOnce {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n := min(huntAtOnce, len(mutants)-from)
		found, errs := make([]*MutantReport, n), make([]error, n)
		c.spread(n, func(i int) { found[i], errs[i] = c.hunt(&mutants[from+i]) })
		for i, m := range found {
			if errs[i] != nil {
				return errs[i]
			}
			rep.Mutants = append(rep.Mutants, *m)
			if m.Found {
				rep.MutantsFound++
			}
		}
		c.progress(rep)
	}
	return nil
}

// hunt looks for a seed that finds a deliberate bug.
func (c *Campaign) hunt(m *mutant) (*MutantReport, error) {
	rep := &MutantReport{Name: m.name, About: m.about, Profile: m.profile}
	start := c.Clock()
	for seed := uint64(1); seed <= mutantSeeds && !rep.Found; seed++ {
		res, err := Run(Config{Seed: seed, Profile: m.profile, Steps: mutantSteps, Mutant: m.name})
		if err != nil {
			return nil, err
		}
		if f := res.Failure; f != nil {
			rep.Found, rep.Invariant, rep.Seed, rep.Step = true, f.Invariant, seed, f.Step
		}
	}
	rep.Seconds = float64(c.Clock()-start) / 1e9
	return rep, nil
}
