package node

import (
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/access"
)

// TestAllowance: a client has what it may ask for in a second once, however many sessions it has,
// and however often it comes back.
func TestAllowance(t *testing.T) {
	n := &Node{perClient: map[string]int{}, allowances: map[string]*allowance{}} // so that only the test forgets
	n.cfg.Limits.Rate = 10
	alice, bob := access.Client{Certificate: "alice"}, access.Client{Certificate: "bob"}
	now := time.Now()
	first := n.newPace(&alice)
	if !first.requests.AllowN(now, 10) || first.requests.AllowN(now, 1) {
		t.Error("not ten requests at once")
	}
	if n.newPace(&alice).requests.AllowN(now, 1) {
		t.Error("another session has one more")
	}
	if !n.newPace(&bob).requests.AllowN(now, 10) {
		t.Error("another client has less")
	}
	n.forgetAllowances(now.Add(time.Second / 2))
	if n.newPace(&alice).requests.AllowN(now, 1) {
		t.Error("who comes back has one more")
	}
	n.forgetAllowances(now.Add(2 * time.Second))
	if len(n.allowances) > 0 {
		t.Error("those of who has gone long ago are kept")
	}
	n.newPace(&alice).others.AllowN(now, 10)
	n.perClient[clientKey(&alice)]++
	n.forgetAllowances(now.Add(2 * time.Second))
	if n.newPace(&alice).others.AllowN(now, 1) {
		t.Error("that of a client with a session is forgotten")
	}
}
