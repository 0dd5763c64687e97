package blockdev_test

import (
	"context"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/devtest"
)

func TestMemoryConformance(t *testing.T) {
	devtest.Run(t, func(t *testing.T) blockdev.Device { return newMemory(t, devtest.MinSize) })
}

// TestFaultConformance: a fault device without rules is like the one below, and so is one
// whose rules only make requests late.
func TestFaultConformance(t *testing.T) {
	for name, rules := range map[string][]blockdev.Rule{
		"plain": nil,
		"late":  {{Chance: 0.3, Delay: 1}},
	} {
		for _, cached := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				devtest.Run(t, func(t *testing.T) blockdev.Device { return newFault(t, cached, rules...) })
			})
		}
	}
}

func newFault(t testing.TB, cached bool, rules ...blockdev.Rule) *blockdev.Fault {
	t.Helper()
	f, err := blockdev.NewFault(context.Background(), newMemory(t, devtest.MinSize), 1, cached)
	if err != nil {
		t.Fatal(err)
	}
	f.Set(rules...)
	return f
}
