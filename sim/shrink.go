package sim

// This file makes a failure short: the operations of the failing run are done
// again without those that the failure does not need.

// maxShrinkRuns bounds the runs that shrinking takes.
const maxShrinkRuns = 1500

// Story is a failure that a person can read.
type Story struct {
	Failure *Failure
	Lines   []string // one for each event that has to do with the name
	Ops     int      // operations of programs that the failure needs
	Of      int      // that the whole run had
}

// storyLines bounds a story; the end counts.
const storyLines = 250

type shrinker struct {
	cfg     Config
	failure *Failure
	keep    []action
	until   int64
	faults  int
	runs    int
}

// Shrink runs cfg again, and tells the failure in few events. It is nil if the
// run does not fail.
func Shrink(cfg Config) (*Story, error) {
	cfg.Trace = true
	first, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	first.recording = true
	first.all()
	if first.failed == nil {
		return nil, nil
	}
	s := &shrinker{cfg: cfg, failure: first.failed, keep: first.recorded, until: first.endsAt, faults: first.faults}
	s.cfg.Trace = false
	story := &Story{Failure: first.failed, Of: len(s.keep)}
	last := first
	if s.fails(s.keep) {
		s.byName()
		s.byFault()
		s.byLock()
		s.byFault()
		s.one()
		s.cfg.Trace = true
		if r := s.run(s.keep); r != nil && r.failed != nil {
			last = r
		}
	}
	story.Failure, story.Ops = last.failed, len(s.keep)
	for _, l := range last.lines {
		if last.failed.Name == "" || l.name == nil || l.name.text == last.failed.Name {
			story.Lines = append(story.Lines, l.text)
		}
	}
	if n := len(story.Lines); n > storyLines {
		story.Lines = story.Lines[n-storyLines:]
	}
	return story, nil
}

func (s *shrinker) run(script []action) *run {
	s.runs++
	cfg := s.cfg
	cfg.script, cfg.until = script, s.until
	r, err := newRun(cfg)
	if err != nil {
		return nil
	}
	r.all()
	return r
}

// fails says whether the same invariant fails without the operations left out.
func (s *shrinker) fails(script []action) bool {
	if s.runs >= maxShrinkRuns || len(script) == 0 {
		return false
	}
	r := s.run(script)
	return r != nil && r.failed != nil && r.failed.Invariant == s.failure.Invariant
}

// without leaves out what drop says, if the run then still fails.
func (s *shrinker) without(drop func(i int, a *action) bool) {
	var rest []action
	for i := range s.keep {
		if !drop(i, &s.keep[i]) {
			rest = append(rest, s.keep[i])
		}
	}
	if len(rest) < len(s.keep) && s.fails(rest) {
		s.keep = rest
	}
}

// byName leaves out all operations on a name, for each in turn.
func (s *shrinker) byName() {
	of := map[int]string{}
	var names []string
	seen := map[string]bool{}
	for i := range s.keep {
		if a := &s.keep[i]; a.name != "" {
			of[a.lock] = a.name
			if !seen[a.name] && a.name != s.failure.Name {
				seen[a.name] = true
				names = append(names, a.name)
			}
		}
	}
	for n := (len(names) + 1) / 2; n >= 1; n /= 2 { // many at a time, then few
		for from := 0; from < len(names); from += n {
			drop := map[string]bool{}
			for _, name := range names[from:min(from+n, len(names))] {
				drop[name] = true
			}
			s.without(func(_ int, a *action) bool { return drop[of[a.lock]] })
		}
	}
}

// byFault lets faults not happen, for each in turn.
func (s *shrinker) byFault() {
	for n := (s.faults + 1) / 2; n >= 1; n /= 2 {
		for from := 1; from <= s.faults; from += n {
			was := s.cfg.spare
			s.cfg.spare = map[int]bool{}
			for k := range was {
				s.cfg.spare[k] = true
			}
			for k := from; k < from+n; k++ {
				s.cfg.spare[k] = true
			}
			if len(s.cfg.spare) == len(was) || !s.fails(s.keep) {
				s.cfg.spare = was
			}
		}
	}
}

// byLock leaves out all operations of a lock, for each in turn, the latest
// first.
func (s *shrinker) byLock() {
	last := 0
	for i := range s.keep {
		last = max(last, s.keep[i].lock)
	}
	for n := (last + 2) / 2; n >= 1; n /= 2 {
		for to := last + 1; to > 0; to -= n {
			s.without(func(_ int, a *action) bool { return a.lock < to && a.lock >= to-n })
		}
	}
}

// one leaves out single operations.
func (s *shrinker) one() {
	for i := len(s.keep) - 1; i >= 0; i-- {
		s.without(func(k int, _ *action) bool { return k == i })
	}
}
