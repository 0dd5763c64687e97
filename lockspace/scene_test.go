package lockspace

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is what a scenario's commands do; scenelog_test.go is what they
// print.

// scene is a cluster under a script's orders.
type scene struct {
	t         testing.TB
	c         *cluster
	without   Rules
	abort     func(string)      // takes the place of t.Fatal
	names     map[string]string // label -> name
	locks     map[string]*tlock // by label
	brief     bool              // only events, on one line, in alphabetical order; all is delivered after each command
	user      int               // stage: the node whose locks are meant
	def       string            // label of the name that a command means that gives none
	calls     []*rangeCall      // about ranges, not answered yet
	requests  map[string]*tbyte // for byte ranges, by label
	byRequest map[*tbyte]string
	sceneLog
}

type verb struct {
	usage string
	do    func(s *scene, a []string) error
}

var sceneVerbs map[string]verb

func init() { // sceneIf refers to the table
	sceneVerbs = map[string]verb{
		"nodes":   {"nodes N [shards=K] [without=RULE] [ranges] [brief]: the cluster; first command; ranges: up to the last slash", (*scene).nodes},
		"stage":   {"stage: node 1 masters r; locks are node 1's, then again node 2's; brief", (*scene).stage},
		"name":    {"name X [dir=N] [then=N] [shard=K] [len=N] [in=K]: a name whose directory is node N, and another one when that has gone; or of range K", (*scene).name},
		"lock":    {"lock [NODE] LOCK [X] MODE [FLAG...] [owner=N]: a new lock", (*scene).lock},
		"hold":    {"hold ...: lock, and all about that name is delivered, unseen", (*scene).hold},
		"convert": {"convert LOCK MODE [FLAG...] [value=V]", (*scene).convert},
		"unlock":  {"unlock LOCK [FLAG...] [value=V]", (*scene).unlock},
		"cancel":  {"cancel LOCK [TAG]", (*scene).cancel},
		"if":      {"if LOCK|REQUEST: COMMAND: only if the lock, or the request for bytes, is granted", (*scene).when},
		"deliver": {"deliver [all but A>B X...|X...|A>B X [TYPE]]: all but a lane; all about names; the first of a lane", (*scene).deliver},
		"any":     {"any K: the first message of the Kth lane that has one, counted round", (*scene).any},
		"pending": {"pending: the messages on their way", (*scene).pending},
		"time":    {"time DURATION: the clocks go on", (*scene).time},
		"tick":    {"tick NODE|all [DURATION]: the clocks go on, then the node is told", (*scene).tick},
		"idle":    {"idle: all that is unused is removed everywhere", (*scene).idle},
		"show":    {"show [X] [NODE]: what nodes know of a name", (*scene).show},
		"stats":   {"stats NODE FIELD...: counters", (*scene).stats},
		"empty":   {"empty: what is left anywhere", (*scene).empty},
		"limit":   {"limit NODE locks|claims N: a limit of its shards, of the node", (*scene).limit},
		"lease":   {"lease NODE on|off: whether it may claim", (*scene).lease},
		"clock":   {"clock NODE SHARD EPOCH:COUNTER: a token that a shard hears of", (*scene).clock},
	}
}

// exec runs a command and gives its output.
func (s *scene) exec(line string) (out []string, err error) {
	f := strings.Fields(line)
	v, ok := sceneVerbs[f[0]]
	switch {
	case !ok:
		return nil, fmt.Errorf("no command %q", f[0])
	case s.c == nil && f[0] != "nodes" && f[0] != "stage":
		return nil, errors.New("the first command is nodes or stage")
	}
	s.out, s.events = nil, nil
	if err := v.do(s, f[1:]); err != nil {
		return s.out, fmt.Errorf("%w (%s)", err, v.usage)
	}
	if s.brief {
		s.c.settle()
		if len(s.events) != 0 {
			slices.Sort(s.events)
			s.say("%s", strings.Join(s.events, " "))
		}
	}
	s.answeredCalls()
	s.checkHolders()
	return s.out, nil
}

var errArgs = errors.New("wrong arguments")

func (s *scene) nodes(a []string) error {
	if len(a) == 0 || s.c != nil {
		return errArgs
	}
	n, err := strconv.Atoi(a[0])
	shards, rule := 1, RangeRule(0)
	for _, w := range a[1:] {
		if v, ok := strings.CutPrefix(w, "shards="); ok && err == nil {
			shards, err = strconv.Atoi(v)
		} else if v, ok := strings.CutPrefix(w, "without="); ok && err == nil {
			s.without, err = rulesOf(v)
		} else if w == "brief" {
			s.brief = true
		} else if w == "ranges" {
			rule = RangeLast('/')
		} else {
			return errArgs
		}
	}
	if err != nil || n < 1 || n > 9 || shards < 1 || shards > 9 {
		return errors.Join(errArgs, err)
	}
	s.c = newRangeCluster(s.t, n, shards, rule, s.without)
	s.c.abort, s.c.ears = s.abort, s
	s.names, s.locks = map[string]string{}, map[string]*tlock{}
	s.labels, s.ids, s.both = map[string]string{}, map[lockID]string{}, map[string]bool{}
	s.byLock = map[*tlock]string{}
	return nil
}

func (s *scene) stage(a []string) error {
	if err := s.nodes(append([]string{"2", "brief"}, a...)); err != nil {
		return err
	}
	s.called("r", s.c.mastered("r", 1, 0))
	s.events = nil
	if s.user == 0 {
		s.user = 1
	}
	return nil
}

func (s *scene) called(label, name string) {
	s.names[label], s.labels[name], s.def = name, label, label
}

func (s *scene) name(a []string) error {
	if len(a) == 0 || s.names[a[0]] != "" {
		return errArgs
	}
	dir, then, shard, length := 1, 0, 0, -1
	key := ""
	for _, w := range a[1:] {
		if v, ok := strings.CutPrefix(w, "in="); ok && s.names[v] != "" {
			key = s.names[v]
		}
		for key, p := range map[string]*int{"dir=": &dir, "then=": &then, "shard=": &shard, "len=": &length} {
			if v, ok := strings.CutPrefix(w, key); ok {
				n, err := strconv.Atoi(v)
				if err != nil {
					return errArgs
				}
				*p = n
			}
		}
	}
	if !s.c.view.Has(uint16(dir)) || shard < 0 || shard >= len(s.c.nodes[0].shards) || length > 1000 {
		return errArgs
	}
	if key != "" {
		s.called(a[0], key+a[0])
	} else if length >= 0 {
		s.called(a[0], strings.Repeat("n", length))
	} else {
		s.called(a[0], s.c.thenName(a[0], dir, then, shard))
	}
	return nil
}

// options reads a mode, flags and a value.
func options(a []string) (mode Mode, flags uint32, val []byte, err error) {
	mode = NoMode
	for _, w := range a {
		var n uint64
		if m, ok := ParseMode(w); ok {
			mode = m
		} else if _, err := fmt.Sscanf(w, "value=%d", &n); err == nil {
			val = value(n)
		} else if _, err := fmt.Sscanf(w, "bytes=%d", &n); err == nil && n < 1000 {
			val = make([]byte, n)
		} else if _, err := fmt.Sscanf(w, "mode=%d", &n); err == nil {
			mode = Mode(n)
		} else if _, err := fmt.Sscanf(w, "flags=0x%x", &n); err == nil {
			flags |= uint32(n)
		} else if bit, ok := flagsByName()[w]; ok {
			flags |= bit
		} else {
			return 0, 0, nil, fmt.Errorf("what is %q?", w)
		}
	}
	return mode, flags, val, nil
}

func (s *scene) node(arg string) (*node, error) {
	if n, err := strconv.Atoi(arg); err == nil && n >= 1 && n <= len(s.c.nodes) && !s.c.node(n).down {
		return s.c.node(n), nil
	}
	return nil, fmt.Errorf("no node %q", arg)
}

func (s *scene) lock(a []string) error {
	user := s.user
	if len(a) > 0 && a[0] >= "1" && a[0] <= "9" {
		user, _ = strconv.Atoi(a[0])
		a = a[1:]
	}
	if len(a) < 2 || user == 0 || user > len(s.c.nodes) {
		return errArgs
	}
	label, name := a[0], s.def
	if _, ok := s.names[a[1]]; ok {
		name, a = a[1], a[1:]
	}
	if _, ok := s.names[name]; !ok {
		return errArgs
	}
	owner := uint64(0)
	if v, ok := strings.CutPrefix(a[len(a)-1], "owner="); ok {
		var err error
		if owner, err = strconv.ParseUint(v, 10, 64); err != nil {
			return errArgs
		}
		a = a[:len(a)-1]
	}
	mode, flags, _, err := options(a[1:])
	if err != nil {
		return err
	}
	if s.c.node(user).down {
		return fmt.Errorf("node %d is down", user)
	}
	l := s.c.node(user).newTlock(s.names[name], mode, flags)
	l.owner = owner
	s.asking, s.askingLabel = l, label
	st := l.ask()
	s.asking = nil
	if s.refused(st) {
		return nil
	}
	s.locks[label], s.ids[lockID{l.n.instance, l.id}], s.byLock[l] = l, label, label
	return nil
}

// refused prints what a call returned if that is not OK.
func (s *scene) refused(st Status) bool {
	if st == 0 {
		return false
	}
	if s.brief {
		s.events = append(s.events, "("+st.String()+")")
	} else {
		s.say("-> %v", st)
	}
	return true
}

func (s *scene) hold(a []string) error {
	s.mute = true
	err := s.lock(a)
	s.mute = false
	if err != nil {
		return err
	}
	label := a[0]
	if label >= "1" && label <= "9" {
		label = a[1]
	}
	l := s.locks[label]
	s.mute = true
	s.c.about(l.name)
	s.mute = false
	if !l.holds(l.mode) || l.mode == NoMode {
		return fmt.Errorf("%s is not granted", label)
	}
	return nil
}

func (s *scene) lockOf(a []string) (*tlock, error) {
	if len(a) == 0 || s.locks[a[0]] == nil {
		return nil, errors.New("no such lock")
	}
	if s.locks[a[0]].crashed {
		return nil, errors.New("its node is down")
	}
	for _, l := range s.locks { // an adopted orphan keeps its id
		if l != s.locks[a[0]] && l.n == s.locks[a[0]].n && l.id == s.locks[a[0]].id && s.locks[a[0]].gone && !l.gone {
			return nil, errors.New("its id is another one's now")
		}
	}
	return s.locks[a[0]], nil
}

func (s *scene) convert(a []string) error {
	l, err := s.lockOf(a)
	if err != nil {
		return err
	}
	mode, flags, val, err := options(a[1:])
	if err == nil {
		s.refused(l.tryConvert(mode, flags, val))
	}
	return err
}

func (s *scene) unlock(a []string) error {
	l, err := s.lockOf(a)
	if err != nil {
		return err
	}
	_, flags, val, err := options(a[1:])
	if err == nil {
		s.refused(l.tryUnlock(flags, val))
	}
	return err
}

func (s *scene) cancel(a []string) error {
	l, err := s.lockOf(a)
	if err != nil {
		return err
	}
	tag := uint64(0)
	if len(a) > 1 {
		if tag, err = strconv.ParseUint(a[1], 10, 64); err != nil {
			return err
		}
	}
	s.refused(l.tryCancel(tag))
	return nil
}

func (s *scene) when(a []string) error {
	if len(a) < 2 || !strings.HasSuffix(a[0], ":") {
		return errArgs
	}
	v, ok := sceneVerbs[a[1]]
	if !ok {
		return errArgs
	}
	label := strings.TrimSuffix(a[0], ":")
	l, b := s.locks[label], s.requests[label]
	if (l == nil || !l.holds(l.mode) || l.mode == NoMode) && (b == nil || !b.is(wire.OK)) {
		return nil
	}
	return v.do(s, a[2:])
}

// lane reads "A>B" and a name; "-" stands for messages without one.
func (s *scene) lane(a []string) (*link, error) {
	var k linkKey
	if len(a) < 2 {
		return nil, errArgs
	}
	if _, err := fmt.Sscanf(a[0], "%d>%d", &k.from, &k.to); err != nil {
		return nil, errArgs
	}
	k.name = s.names[a[1]]
	if l := s.c.links[k]; l != nil && len(l.packets) != 0 {
		if !s.c.ready(l) {
			return nil, errors.New("other messages come first")
		}
		return l, nil
	}
	return nil, errors.New("no message there")
}

func (s *scene) deliver(a []string) error {
	switch {
	case len(a) == 0:
		s.c.settle()
		return nil
	case len(a) >= 4 && a[0] == "all" && a[1] == "but":
		return s.deliverBut(a[2:])
	case strings.Contains(a[0], ">"):
		l, err := s.lane(a)
		if err != nil {
			return err
		}
		if typ := l.packets[0].typ; len(a) > 2 && typ.String() != a[2] {
			return fmt.Errorf("the first one is %v", typ)
		}
		s.c.deliver(l)
		return nil
	}
	var names []string
	for _, label := range a {
		if label == "-" {
			names = append(names, "")
			continue
		}
		if _, ok := s.names[label]; !ok {
			return errArgs
		}
		names = append(names, s.names[label])
	}
	s.c.about(names...)
	return nil
}

// deliverBut delivers all but what is on some lanes.
func (s *scene) deliverBut(a []string) error {
	back := map[linkKey]bool{}
	for ; len(a) >= 2; a = a[2:] {
		var k linkKey
		if _, err := fmt.Sscanf(a[0], "%d>%d", &k.from, &k.to); err != nil {
			return errArgs
		}
		k.name = s.names[a[1]]
		back[k] = true
	}
	for range 100_000 {
		i := slices.IndexFunc(s.c.busy, func(l *link) bool { return !back[l.linkKey] && s.c.ready(l) })
		if i < 0 {
			return nil
		}
		s.c.deliver(s.c.busy[i])
	}
	return errors.New("messages without end")
}

func (s *scene) any(a []string) error {
	if len(a) != 1 {
		return errArgs
	}
	k, err := strconv.Atoi(a[0])
	if err != nil || k < 0 {
		return errArgs
	}
	var lanes []*link
	for _, l := range s.c.busy {
		if s.c.ready(l) {
			lanes = append(lanes, l)
		}
	}
	if len(lanes) != 0 {
		s.c.deliver(lanes[k%len(lanes)])
	}
	return nil
}

func (s *scene) time(a []string) error {
	if len(a) != 1 {
		return errArgs
	}
	d, err := time.ParseDuration(a[0])
	if err != nil || d < 0 || d > time.Hour {
		return errArgs
	}
	s.c.now += int64(d)
	return nil
}

func (s *scene) tick(a []string) error {
	if len(a) == 0 {
		return errArgs
	}
	if len(a) > 1 {
		if err := s.time(a[1:]); err != nil {
			return err
		}
	}
	if a[0] == "all" {
		for _, n := range s.c.nodes {
			if !n.down {
				n.tick()
			}
		}
		return nil
	}
	n, err := s.node(a[0])
	if err == nil {
		n.tick()
	}
	return err
}

func (s *scene) idle([]string) error { s.c.idle(); return nil }

func (s *scene) limit(a []string) error {
	if len(a) != 3 {
		return errArgs
	}
	n, err := s.node(a[0])
	if err != nil {
		return err
	}
	max, err := strconv.Atoi(a[2])
	switch a[1] {
	case "claims":
		n.testCommon.limit = max
	case "locks":
		for _, sh := range n.shards {
			sh.cfg.MaxLocks = max
		}
	default:
		return errArgs
	}
	return err
}

func (s *scene) lease(a []string) error {
	if len(a) != 2 {
		return errArgs
	}
	n, err := s.node(a[0])
	if err == nil {
		n.noClaims = a[1] == "off"
	}
	return err
}

func (s *scene) clock(a []string) error {
	if len(a) != 3 {
		return errArgs
	}
	n, err := s.node(a[0])
	if err != nil {
		return err
	}
	var epoch, counter uint64
	k, err := strconv.Atoi(a[1])
	if _, err := fmt.Sscanf(a[2], "%d:%d", &epoch, &counter); err != nil {
		return errArgs
	}
	if err != nil || k < 0 || k >= len(n.shards) {
		return errArgs
	}
	n.shards[k].Note(epoch<<tokenCounterBits | counter)
	return nil
}

// rulesOf reads names of rules.go, separated by commas.
func rulesOf(list string) (r Rules, err error) {
	for _, name := range strings.Split(list, ",") {
		i := slices.Index(constants("rules.go", `(?m)^\t(\w+)\b[^/]*//`), name)
		if i < 0 {
			return 0, fmt.Errorf("no rule %q", name)
		}
		r |= 1 << i
	}
	return r, nil
}

// flagsByName gives the flags of flags.go by their names in lower case, and
// short ones for the most used.
func flagsByName() map[string]uint32 {
	if flagNumbers != nil {
		return flagNumbers
	}
	m := map[string]uint32{}
	for _, line := range constants("flags.go", `(?m)^\t(\w+ +uint32 = \S+(?: << \d+)?)`) {
		var name string
		var n, shift uint32
		if c, _ := fmt.Sscanf(line, "%s uint32 = %v << %d", &name, &n, &shift); c < 2 {
			continue
		}
		m[strings.ToLower(name)] = n << shift
	}
	m["new"], m["bast"], m["force"], m["noorder"] = m["newname"], m["wantbast"], m["forceunlock"], m["outoforder"]
	flagNumbers = m
	return m
}

var flagNumbers map[string]uint32

// constants gives the first group of each match in a file of this package.
func constants(file, pattern string) (list []string) {
	data, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(data), -1) {
		list = append(list, m[1])
	}
	return list
}
