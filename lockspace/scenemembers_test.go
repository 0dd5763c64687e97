package lockspace

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// This file is the commands of a scenario about members, orphans, deadlines
// and delegated ranges.

func init() {
	for name, v := range map[string]verb{
		"crash":    {"crash NODE [lose]: it dies; lose: what it has sent is lost, too", (*scene).crash},
		"restart":  {"restart NODE: it starts anew, as another instance, in no view yet", (*scene).restart},
		"view":     {"view [but NODE] [on NODE...]: the next view, of all nodes that are up (but one), is installed on all of those (some)", (*scene).view},
		"install":  {"install NODE...: the newest view is installed there, too", (*scene).install},
		"leave":    {"leave LOCK [OWNER]: its program goes", (*scene).leave},
		"purge":    {"purge FROM NODE [OWNER]: a node ends the orphans of a node", (*scene).purge},
		"deadline": {"deadline LOCK DURATION: bounds the wait of the running operation", (*scene).deadline},
		"pass":     {"pass DURATION: time goes by in ticks of 10 ms, and all is delivered", (*scene).pass},
		"range":    {"range K dir=N: a key whose directory is node N (nodes ... ranges)", (*scene).rangeKey},
		"delegate": {"delegate NODE K: a node asks for a range", (*scene).delegate},
		"return":   {"return NODE K: it gives the range back", (*scene).giveBack},
	} {
		sceneVerbs[name] = v
	}
}

func (s *scene) crash(a []string) error {
	if len(a) == 0 {
		return errArgs
	}
	n, err := s.node(a[0])
	if err == nil && n.down {
		err = errArgs
	}
	if err == nil {
		n.crash(len(a) > 1 && a[1] == "lose")
	}
	return err
}

func (s *scene) restart(a []string) error {
	if len(a) != 1 {
		return errArgs
	}
	if id, err := strconv.Atoi(a[0]); err != nil || id < 1 || id > len(s.c.nodes) || !s.c.node(id).down {
		return errArgs
	}
	id, _ := strconv.Atoi(a[0])
	s.c.node(id).restart()
	return nil
}

func (s *scene) view(a []string) error {
	var but []int
	if len(a) > 1 && a[0] == "but" {
		n, err := s.node(a[1])
		if err != nil {
			return err
		}
		but, a = append(but, int(n.id)), a[2:]
	}
	if len(a) > 0 && a[0] != "on" {
		return errArgs
	}
	s.c.next(but...)
	if len(a) > 0 {
		return s.install(a[1:])
	}
	for _, n := range s.c.nodes {
		if !n.down {
			n.install(s.c.view)
		}
	}
	return nil
}

func (s *scene) install(a []string) error {
	for _, arg := range a {
		n, err := s.node(arg)
		if err != nil {
			return err
		}
		n.install(s.c.view)
	}
	return nil
}

func (s *scene) leave(a []string) error {
	l, err := s.lockOf(a)
	if err != nil {
		return err
	}
	owner := uint64(0)
	if len(a) > 1 {
		if owner, err = strconv.ParseUint(a[1], 10, 64); err != nil {
			return err
		}
	}
	before := *l
	if l.wanted != NoMode {
		l.dying = true
	} else {
		l.gone, l.mode, l.open = true, NoMode, false
	}
	closed := l.n.closed
	if st := l.n.shardOf(l.name).Abandon(l.n.now(), l.id, owner); s.refused(st) {
		*l = before
	}
	l.n.after(closed)
	return nil
}

func (s *scene) purge(a []string) error {
	if len(a) < 2 {
		return errArgs
	}
	n, err := s.node(a[0])
	if err != nil {
		return err
	}
	to, err := strconv.ParseUint(a[1], 10, 16)
	owner := uint64(0)
	if err == nil && len(a) > 2 {
		owner, err = strconv.ParseUint(a[2], 10, 64)
	}
	if err == nil {
		s.refused(n.shards[0].SendPurge(n.now(), uint16(to), owner))
	}
	return err
}

func (s *scene) deadline(a []string) error {
	l, err := s.lockOf(a)
	if err != nil {
		return err
	}
	if len(a) != 2 {
		return errArgs
	}
	d, err := time.ParseDuration(a[1])
	if err == nil {
		s.refused(l.n.shardOf(l.name).Deadline(l.n.now(), l.id, l.tag, int64(d)))
	}
	return err
}

func (s *scene) pass(a []string) error {
	if len(a) != 1 {
		return errArgs
	}
	d, err := time.ParseDuration(a[0])
	if err != nil || d < 0 || d > time.Minute {
		return errArgs
	}
	for range d / (10 * time.Millisecond) {
		if err := s.tick([]string{"all", "10ms"}); err != nil {
			return err
		}
		s.c.settle()
	}
	return nil
}

func (s *scene) rangeKey(a []string) error {
	if len(a) != 2 || s.c.rule == 0 || s.names[a[0]] != "" {
		return errArgs
	}
	dir, err := strconv.Atoi(strings.TrimPrefix(a[1], "dir="))
	if err != nil || !s.c.view.Has(uint16(dir)) {
		return errArgs
	}
	s.called(a[0], s.c.key(a[0], dir))
	return nil
}

func (s *scene) delegate(a []string) error { return s.rangeCall(a, (*node).delegate) }
func (s *scene) giveBack(a []string) error { return s.rangeCall(a, (*node).giveBack) }

func (s *scene) rangeCall(a []string, f func(n *node, key string) *rangeCall) error {
	if len(a) != 2 || s.names[a[1]] == "" {
		return errArgs
	}
	n, err := s.node(a[0])
	if err == nil {
		s.calls = append(s.calls, f(n, s.names[a[1]]))
	}
	return err
}

// answeredCalls says how calls about ranges have ended.
func (s *scene) answeredCalls() {
	rest := s.calls[:0]
	for _, r := range s.calls {
		switch {
		case r.ends == 0:
			rest = append(rest, r)
		case r.st != wire.OK && r.owner != 0:
			s.say("node %d, range %s: %v, node %d has it", r.n.id, s.nameLabel([]byte(r.key)), r.st, wire.NodeOf(r.owner))
		default:
			s.say("node %d, range %s: %v", r.n.id, s.nameLabel([]byte(r.key)), r.st)
		}
	}
	s.calls = rest
}

// instanceMark tells the starts of a node apart: "1", after a restart "1'".
func instanceMark(instance uint64) string {
	starts := int(instance>>16) - 7
	return fmt.Sprint(wire.NodeOf(instance)) + strings.Repeat("'", max(0, min(starts, 9)))
}

// thenName finds a name whose directory is node dir, and node then, if that is
// not 0, when dir has gone.
func (c *cluster) thenName(prefix string, dir, then, shard int) string {
	if then == 0 {
		return c.name(prefix, dir, shard)
	}
	rest := slices.DeleteFunc(slices.Clone(c.view.Members), func(m Member) bool { return int(m.ID) == dir })
	v, err := NewView(1, rest)
	if err != nil || !v.Has(uint16(then)) {
		return c.name(prefix, dir, shard) // a script that makes no sense
	}
	for i := 0; ; i++ {
		name := c.name(fmt.Sprintf("%s%d-", prefix, i), dir, shard)
		if int(v.Directory(c.route(name))) == then {
			return name
		}
	}
}
