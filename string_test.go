package lockify

import (
	"fmt"
	"testing"
)

// TestPrinted: what a program prints says what it is, also while others use it.
func TestPrinted(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		l := e.must(t, e.a, "volume", PR)
		done := make(chan error)
		go func() { done <- l.Convert(e.ctx, EX) }()
		for range 100 {
			_ = fmt.Sprint(l, l.space)
		}
		expect(t, "convert", <-done, nil)
		want := []string{`"volume" in EX`, `lockspace "test"`, "node 1"}
		got := []string{fmt.Sprint(l), fmt.Sprint(e.a), fmt.Sprint(e.nodes[0])}
		if e.dial != nil {
			c := e.dial(t, 0)
			got = append(got, fmt.Sprint(c), fmt.Sprint(c.Session()))
			want = append(want, "client of "+c.addrs[0].text, fmt.Sprintf("session %d at %s", c.Session().ID(), c.addrs[0].text))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q, want %q", got, want)
		}
		e.unlock(t, l)
		if got := fmt.Sprint(l); got != `"volume" in --` {
			t.Error(got)
		}
	})
}
