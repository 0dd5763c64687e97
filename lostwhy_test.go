package lockify

import (
	"errors"
	"strings"
	"testing"
)

// TestLostBecause: whoever uses a lock that is lost hears why, if its session or node has ended.
func TestLostBecause(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		l := e.must(t, e.a, "volume", EX)
		lost := l.Lost()
		if err := e.nodes[0].Close(e.ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case <-lost:
		case <-e.ctx.Done():
			t.Fatal("not lost")
		}
		want := "lockify: lock lost"
		if e.dial != nil {
			want = "lockify: session lost: "
		}
		for what, err := range map[string]error{"convert": l.Convert(e.ctx, PR), "unlock": l.Unlock(e.ctx)} {
			if begins := what + ` of "volume": ` + want; !errors.Is(err, ErrLost) || !strings.HasPrefix(err.Error(), begins) {
				t.Errorf("%v, want %s", err, begins)
			}
		}
	})
}
