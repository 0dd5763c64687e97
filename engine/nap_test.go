package engine_test

import (
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/engine"
)

// A Nap is not shorter than was asked for, however often it is used.
func TestNap(t *testing.T) {
	n, err := engine.NewNap()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	for _, d := range []time.Duration{time.Microsecond, 100 * time.Microsecond, 2 * time.Millisecond, 0} {
		for range 5 {
			start := time.Now()
			n.Sleep(d)
			if slept := time.Since(start); slept < d {
				t.Errorf("%v asleep, want %v", slept, d)
			}
		}
	}
}
