package growth

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func options() *Options {
	return &Options{
		Self: []string{"false"}, Duration: 10 * time.Millisecond, RTT: 100 * time.Microsecond, Service: 500 * time.Nanosecond, Rate: 200_000,
		Progress: func(string) {},
	}
}

// TestSimulate: a lookup costs two messages and a round trip unless the node is its own
// directory, a claim as many messages and no wait.
func TestSimulate(t *testing.T) {
	const nodes = 10
	lookup, err := simulate(nodes, false, options())
	if err != nil {
		t.Fatal(err)
	}
	claim, err := simulate(nodes, true, options())
	if err != nil {
		t.Fatal(err)
	}
	want := 2 * float64(nodes-1) / nodes
	for name, s := range map[string]*simulated{"lookup": lookup, "claim": claim} {
		if got := s.per(s.sent); got < want-0.05 || got > want+0.05 {
			t.Errorf("%s: %v messages for each, want about %v", name, got, want)
		}
	}
	if lookup.hops != lookup.sent || claim.hops != 0 {
		t.Errorf("waited for %d of %d messages with lookups, for %d with claims", lookup.hops, lookup.sent, claim.hops)
	}
	if p50 := lookup.acquire.QuantileUS(0.5); p50 < 100 {
		t.Errorf("a lookup takes %v us, a round trip 100", p50)
	}
	if p99 := claim.acquire.QuantileUS(0.99); p99 > 10 {
		t.Errorf("one of a hundred claims takes %v us", p99)
	}
}

// TestSimulateQueues: nodes that have more to do than they can have queues.
func TestSimulateQueues(t *testing.T) {
	o := options()
	o.Rate = 1_000_000 // each creation is four steps of 500 ns
	s, err := simulate(3, true, o)
	if err != nil {
		t.Fatal(err)
	}
	if p50 := s.acquire.QuantileUS(0.5); p50 < 1000 {
		t.Errorf("a creation takes %v us of a node that has twice as much to do as it can", p50)
	}
}

// TestNodesDraws: the study gives a chart, and that a picture.
func TestNodesDraws(t *testing.T) {
	o := *options()
	o.Most = 5
	c, err := Run(t.Context(), "nodes", o)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "nodes.svg")
	if err := c.WriteSVG(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(string(b)))
	for err == nil {
		_, err = d.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("no XML: %v", err)
	}
	for _, want := range []string{"nodes", "lookup, p50", "claim, waited for"} {
		if !strings.Contains(string(b), ">"+want+"<") {
			t.Errorf("the picture does not say %q", want)
		}
	}
}

// TestChartRefuses: what cannot be drawn is said.
func TestChartRefuses(t *testing.T) {
	line := func(y ...float64) []Panel { return []Panel{{Log: true, Lines: []Line{{Label: "a", Y: y}}}} }
	for name, c := range map[string]*Chart{
		"nothing":  {},
		"too few":  {X: []float64{1, 2}, Panels: line(1)},
		"zero":     {X: []float64{1}, Panels: line(0)},
		"x of log": {X: []float64{0}, Log: true, Panels: line(1)},
	} {
		if err := c.WriteSVG(filepath.Join(t.TempDir(), "x.svg")); err == nil {
			t.Errorf("%s is drawn", name)
		}
	}
	if _, err := Run(t.Context(), "weather", *options()); err == nil {
		t.Error("there is a study of the weather")
	}
}

func TestDecade(t *testing.T) {
	for v, want := range map[float64][2]float64{1: {1, 1}, 0.5: {0.1, 1}, 99: {10, 100}, 1000: {1000, 1000}} {
		if low, high := decade(v, -1), decade(v, 1); low < want[0]*0.999 || low > want[0]*1.001 || high < want[1]*0.999 || high > want[1]*1.001 {
			t.Errorf("%v is between %v and %v, want %v", v, low, high, want)
		}
	}
}
