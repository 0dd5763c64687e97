package agent

import (
	"fmt"
	"log/slog"
	"sync"
)

// outside is what keeps this node from becoming a member, and what has been said of that.
type outside struct {
	mu   sync.Mutex
	why  string
	said map[string]bool // warnings: who asks again and again has the same answer each time
}

// maxSaid bounds the warnings that are remembered.
const maxSaid = 1000

func (o *outside) set(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.why = why
}

// Outside says why this node is not let in, as far as the others have said so; "": they
// have not, or it is in.
func (a *Agent) Outside() string {
	a.outside.mu.Lock()
	defer a.outside.mu.Unlock()
	return a.outside.why
}

// warnOnce warns of something, and says the same again for those only who debug.
func (a *Agent) warnOnce(what string, args ...any) {
	key, level := fmt.Sprintln(append(args, what)...), slog.LevelDebug
	a.outside.mu.Lock()
	if len(a.outside.said) >= maxSaid || a.outside.said == nil {
		a.outside.said = map[string]bool{}
	}
	if !a.outside.said[key] {
		a.outside.said[key], level = true, slog.LevelWarn
	}
	a.outside.mu.Unlock()
	a.cfg.Logger.Log(a.ctx, level, what, args...)
}
