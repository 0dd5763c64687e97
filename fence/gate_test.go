package fence

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		about string
		calls string // name:token, with ! where it is refused
	}{
		{"tokens grow", "a:1 a:2 a:2 a!1 a:7 a!2"},
		{"names are apart", "a:9 b:1 a!8 b:2"},
		{"token 0", "a!0 a:1 a!0"},
		{"no name", ":!1"},
		{"epochs", "a:1099511627776 a!1099511627775 a:2199023255552"},
	} {
		var g Gate
		for _, call := range strings.Fields(c.calls) {
			name, refused := call[:1], strings.Contains(call, "!")
			if name == ":" {
				name = ""
			}
			var token uint64
			if _, err := fmt.Sscan(call[strings.IndexAny(call, "!0123456789"):][strings.Count(call, "!"):], &token); err != nil {
				t.Fatal(err)
			}
			if err := g.Check(name, token); (err != nil) != refused {
				t.Errorf("%s: %s: %v", c.about, call, err)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	var g Gate
	if err := g.Check("a", 5); err != nil {
		t.Fatal(err)
	}
	err := g.Check("a", 4)
	var stale *StaleError
	if !errors.Is(err, ErrStale) || !errors.As(err, &stale) || *stale != (StaleError{"a", 4, 5}) {
		t.Errorf("%v", err)
	}
	if want := `fence: stale token 4 for "a": 5 has been here`; err.Error() != want {
		t.Errorf("%q, want %q", err, want)
	}
	long := strings.Repeat("x", wire.MaxName+1)
	for _, c := range []struct {
		name  string
		token uint64
		want  error
		says  string
	}{
		{"a", 0, ErrNoToken, `for "a"`},
		{"b", 0, ErrNoToken, `for "b"`},
		{"", 1, ErrName, "0 bytes, must be 1 to 64"},
		{long, 9, ErrName, "65 bytes, must be 1 to 64"},
	} {
		before := show(t, &g)
		ran := false
		for how, err := range map[string]error{
			"Check": g.Check(c.name, c.token),
			"Do":    g.Do(c.name, c.token, func() error { ran = true; return nil }),
		} {
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || ran {
				t.Errorf("%s(%q, %d): %v, ran %v", how, c.name, c.token, err, ran)
			}
		}
		g.Restore(c.name, 0)
		g.Restore(long, 9)
		if after := show(t, &g); after != before {
			t.Errorf("%q, %d: %s, before %s", c.name, c.token, after, before)
		}
	}
	if err := g.Check(long[1:], 1); err != nil {
		t.Errorf("the longest name: %v", err)
	}
}

// show is all that g knows.
func show(t *testing.T, g *Gate) string {
	t.Helper()
	all := map[string]uint64{}
	if err := g.Snapshot(func(name string, token uint64) error { all[name] = token; return nil }); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(all)
}

func TestLimit(t *testing.T) {
	g := Gate{Limit: 8}
	for i := range uint64(100) {
		if err := g.Check(fmt.Sprint("n", i), 10+i); err != nil {
			t.Fatal(err)
		}
		if err := g.Check("hot", 5); err != nil {
			t.Fatalf("a name that is in use was forgotten: %v", err)
		}
		if n := len(g.now) + len(g.old); n > 8 {
			t.Fatalf("%d names are kept", n)
		}
	}
	for i := range uint64(100) {
		if err := g.Check(fmt.Sprint("n", i), 9+i); !errors.Is(err, ErrStale) {
			t.Errorf("n%d: %v", i, err)
		}
	}
	if err := g.Check("new", 200); err != nil {
		t.Error(err)
	}
}

// list is a Log in memory.
type list struct {
	tokens map[string]uint64
	err    error
}

func (l *list) Append(name string, token uint64) error {
	if l.err == nil {
		l.tokens[name] = token
	}
	return l.err
}

func TestRestart(t *testing.T) {
	log := &list{tokens: map[string]uint64{}}
	g := Gate{Limit: 4, Log: log}
	for i := range uint64(6) {
		if err := g.Check(fmt.Sprint(i), 10+i); err != nil {
			t.Fatal(err)
		}
	}
	log.err = errors.New("disk is full")
	if err := g.Check("5", 100); !errors.Is(err, log.err) {
		t.Errorf("accepted without the log: %v", err)
	}
	snapshot := map[string]uint64{}
	if err := g.Snapshot(func(name string, token uint64) error { snapshot[name] = token; return nil }); err != nil {
		t.Fatal(err)
	}
	for about, saved := range map[string]map[string]uint64{"log": log.tokens, "snapshot": snapshot} {
		h := Gate{Limit: 4}
		for name, token := range saved {
			h.Restore(name, token)
		}
		h.Restore("5", 1) // an older line of the log
		for i := range uint64(6) {
			if err := h.Check(fmt.Sprint(i), 9+i); !errors.Is(err, ErrStale) {
				t.Errorf("%s: an old token of %d gets in: %v", about, i, err)
			}
		}
	}
	if !maps.Equal(snapshot, map[string]uint64{"": 11, "2": 12, "3": 13, "4": 14, "5": 15}) {
		t.Errorf("snapshot %v", snapshot)
	}
	for _, stop := range []int{0, 4} {
		end := errors.New("enough")
		err := g.Snapshot(func(string, uint64) error {
			if stop--; stop < 0 {
				return end
			}
			return nil
		})
		if err != end {
			t.Errorf("snapshot does not end: %v", err)
		}
	}
}

// What an earlier holder has under way ends before a later one's work begins,
// and one that waits meanwhile is refused when a still later one comes.
func TestDo(t *testing.T) {
	var g Gate
	began, release := make(chan struct{}), make(chan struct{})
	var order []string
	var mu sync.Mutex
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, s)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		g.Do("a", 1, func() error { close(began); <-release; note("1"); return nil })
	})
	<-began
	second := make(chan error)
	go func() { second <- g.Do("a", 2, func() error { note("2"); return nil }) }()
	for g.Check("a", 1) == nil { // until the second one has been admitted
	}
	third := make(chan error)
	go func() { third <- g.Do("a", 3, func() error { note("3"); return nil }) }()
	if err := <-second; !errors.Is(err, ErrStale) {
		t.Errorf("the second: %v", err)
	}
	if err := g.Do("a", 2, nil); !errors.Is(err, ErrStale) {
		t.Errorf("the second again: %v", err)
	}
	close(release)
	if err := <-third; err != nil {
		t.Error(err)
	}
	wg.Wait()
	if got := strings.Join(order, " "); got != "1 3" {
		t.Errorf("order %q", got)
	}
	want := errors.New("its own")
	if err := g.Do("a", 3, func() error { return want }); err != want {
		t.Error(err)
	}
}

// Names in use are not forgotten: who waits for them would wait for ever.
func TestDoLimit(t *testing.T) {
	g := Gate{Limit: 2}
	err := g.Do("a", 1, func() error {
		for i := range uint64(10) {
			if err := g.Check(fmt.Sprint(i), 10+i); err != nil {
				return err
			}
		}
		return g.Check("a", 1)
	})
	if err != nil {
		t.Error(err)
	}
}

// Whatever goroutines do, a name's tokens do not fall.
func TestConcurrent(t *testing.T) {
	g := Gate{Limit: 4}
	var wg sync.WaitGroup
	var newest [3]uint64
	var inside [3]sync.Mutex
	for k := range 4 {
		wg.Go(func() {
			for i := range uint64(500) {
				n, token := int(i)%3, i*4+uint64(k)+1
				g.Do(fmt.Sprint(n), token, func() error {
					inside[n].Lock()
					defer inside[n].Unlock()
					if token < newest[n] {
						t.Errorf("token %d after %d", token, newest[n])
					}
					newest[n] = token
					return nil
				})
				g.Check(fmt.Sprint("other", i), token)
			}
		})
	}
	wg.Wait()
}
