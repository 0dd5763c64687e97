package fence

import (
	"errors"
	"fmt"
	"sync"
)

var (
	// ErrStale says that a later holder has been here. The error is a *StaleError.
	ErrStale = errors.New("fence: stale token")
	// ErrNoToken refuses token 0: the request was made without a lock.
	ErrNoToken = errors.New("fence: token 0 is no token")
	// ErrName refuses a name that no lock has: locks' have 1 to MaxName bytes.
	ErrName = errors.New("fence: no lock has this name")
)

// MaxName is the longest name of a lock, in bytes.
const MaxName = 64

// StaleError is ErrStale with what it is about.
type StaleError struct {
	Name   string
	Token  uint64 // refused
	Newest uint64 // highest one accepted for Name, or the floor if Name is not known
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("fence: stale token %d for %q: %d has been here", e.Token, e.Name, e.Newest)
}

// Unwrap gives ErrStale.
func (e *StaleError) Unwrap() error { return ErrStale }

// Log is where a Gate writes what it must still know after a restart. Append
// returns when it is durable. Name "" is the floor. Calls come one at a time.
type Log interface {
	Append(name string, token uint64) error
}

// DefaultLimit is the number of names that a Gate keeps if Limit is 0.
const DefaultLimit = 1 << 20

// Gate knows the highest token of each name. The zero Gate is ready for use. Its
// fields must not be changed after the first call.
type Gate struct {
	Limit int // names kept, at least 2; 0: DefaultLimit
	Log   Log // nil: nothing outlives the process

	mu       sync.Mutex
	idle     sync.Cond
	floor    uint64
	now, old map[string]*entry // names asked about lately, and before; never the same one in both
}

// entry is what is known of a name.
type entry struct {
	newest  uint64
	running int // calls of Do under the newest token
	older   int // and under those before it
}

// Check accepts a token, or says why not: ErrStale, ErrNoToken, ErrName, or
// what Log has returned.
func (g *Gate) Check(name string, token uint64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, err := g.admit(name, token)
	return err
}

// Do calls f if Check accepts the token. It waits for the end of all calls for
// the name under lower tokens, which began before; so nothing of an earlier
// holder is still being done when a later one's begins. f runs without a lock,
// beside others under the same token, and must not call Do for the same name.
// The error is Check's, or f's.
func (g *Gate) Do(name string, token uint64, f func() error) error {
	g.mu.Lock()
	e, err := g.admit(name, token)
	if err != nil {
		g.mu.Unlock()
		return err
	}
	e.running++ // now, so that a still later holder waits for this one
	for e.newest == token && e.older > 0 {
		g.idle.Wait()
	}
	if e.newest != token {
		defer g.leave(e, token)
		err := &StaleError{name, token, e.newest}
		g.mu.Unlock()
		return err
	}
	g.mu.Unlock()
	defer g.leave(e, token)
	return f()
}

func (g *Gate) leave(e *entry, token uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e.newest == token {
		e.running--
	} else if e.older--; e.older == 0 {
		g.idle.Broadcast()
	}
}

// admit accepts a token and gives what is known of the name.
func (g *Gate) admit(name string, token uint64) (*entry, error) {
	switch {
	case len(name) == 0 || len(name) > MaxName:
		return nil, fmt.Errorf("%w: %d bytes, must be 1 to %d", ErrName, len(name), MaxName)
	case token == 0:
		return nil, fmt.Errorf("%w: for %q", ErrNoToken, name)
	}
	e := g.find(name)
	newest := g.floor
	if e != nil {
		newest = e.newest
	}
	switch {
	case token < newest:
		return nil, &StaleError{name, token, newest}
	case e != nil && token == newest:
		return e, nil
	}
	if err := g.write(name, token); err != nil {
		return nil, err
	}
	return g.raise(name, e, token), nil
}

func (g *Gate) write(name string, token uint64) error {
	if g.Log == nil {
		return nil
	}
	if err := g.Log.Append(name, token); err != nil {
		return fmt.Errorf("fence: log: %w", err)
	}
	return nil
}

// raise makes token the newest of a name. e is nil if it is not known yet.
func (g *Gate) raise(name string, e *entry, token uint64) *entry {
	if e == nil {
		e = &entry{}
		g.keep(name, e)
	}
	e.older, e.running = e.older+e.running, 0
	e.newest = token
	g.idle.Broadcast() // those under lower tokens who wait need not any more
	return e
}

// find looks a name up, which counts as asking about it.
func (g *Gate) find(name string) *entry {
	if g.now == nil {
		g.now, g.old = map[string]*entry{}, map[string]*entry{}
		g.idle.L = &g.mu
	}
	if e := g.now[name]; e != nil {
		return e
	}
	e := g.old[name]
	if e != nil {
		delete(g.old, name)
		g.keep(name, e)
	}
	return e
}

// keep puts a name among those asked about lately. When these are half of what
// may be kept, the others are forgotten, but for those that are in use.
func (g *Gate) keep(name string, e *entry) {
	limit := g.Limit
	if limit == 0 {
		limit = DefaultLimit
	}
	if len(g.now) >= max(1, limit/2) {
		forgotten := g.old
		g.old, g.now = g.now, map[string]*entry{}
		for n, o := range forgotten {
			if o.running+o.older > 0 {
				g.now[n] = o
			} else {
				g.floor = max(g.floor, o.newest)
			}
		}
	}
	g.now[name] = e
}

// Restore takes back what a Log or Snapshot has kept, best in its order. What
// neither has ever kept, token 0 and longer names, is ignored.
func (g *Gate) Restore(name string, token uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case token == 0, len(name) > MaxName:
		return
	case name == "":
		g.floor = max(g.floor, token)
		return
	}
	e := g.find(name)
	if e == nil {
		token = max(token, g.floor) // it may have been forgotten again just now
	}
	if e == nil || e.newest < token {
		g.raise(name, e, token)
	}
}

// Snapshot calls f for all that Restore needs, for example to begin a new Log
// with; all other calls wait meanwhile. It ends with the first error of f.
func (g *Gate) Snapshot(f func(name string, token uint64) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range []map[string]*entry{g.now, g.old} {
		for name, e := range m {
			if err := f(name, e.newest); err != nil {
				return err
			}
		}
	}
	if g.floor != 0 {
		return f("", g.floor) // last: it does not hold for the names before
	}
	return nil
}
