package agent

import (
	"fmt"
	"log/slog"
	"sync"
)

// outside is what keeps this node from becoming a member, and what has been said of that.
type outside struct {
	mu   sync.Mutex
	in   bool            // it is a member
	why  string          // what others have said
	asks []string        // addresses of others that it asks
	self bool            // one of them is its own, by another name
	said map[string]bool // warnings: who asks again and again has the same answer each time
}

// maxSaid bounds the warnings that are remembered.
const maxSaid = 1000

// begin: these are asked to let this node in.
func (o *outside) begin(asks []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in, o.why, o.asks, o.self = false, "", asks, false
}

// set takes what another node has said.
func (o *outside) set(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.in {
		o.why = why
	}
}

// end: it is let in.
func (o *outside) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in, o.why = true, ""
}

// asksSelf: this node has got a question of its own by mail.
func (o *outside) asksSelf() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.self = true
}

// maxTroubles bounds the addresses of which is said what is wrong with them.
const maxTroubles = 3

// Outside says why this node is not let in: what the others have said, or why they have not,
// as far as that is known. "": it is in.
func (a *Agent) Outside() string {
	o := &a.outside
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.in {
		return ""
	}
	text := o.why
	if text == "" {
		text = a.silence()
	}
	if err := a.Failure(); err != nil {
		text = fmt.Sprintf("its own vote has failed: %v; %s", err, text)
	}
	return text
}

// silence says why others have not answered yet. outside.mu is held.
func (a *Agent) silence() string {
	o := &a.outside
	text, sep, troubles := "no answer yet", ": ", 0
	add := func(format string, args ...any) {
		text += sep + fmt.Sprintf(format, args...)
		sep = "; "
	}
	for _, addr := range o.asks {
		if what := a.cfg.Mail.Trouble(addr); what != "" && troubles < maxTroubles {
			add("%s: %s", addr, what)
			troubles++
		}
	}
	if o.self {
		add("an address to join is this node's own")
	}
	return text
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
