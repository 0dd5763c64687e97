package lockspace_test

import (
	"testing"

	"github.com/lockify-dlm/lockify/sim"
)

// TestSimulation runs some clusters of package sim, which has the simulation
// itself and all its tests, so that it counts for what is tested here.
func TestSimulation(t *testing.T) {
	last := uint64(1005)
	if testing.Short() {
		last = 1001
	}
	names, _ := sim.Profiles()
	for _, name := range names {
		for seed := uint64(1001); seed <= last; seed++ {
			res, err := sim.Run(sim.Config{Seed: seed, Profile: name, Steps: 4000})
			if err != nil {
				t.Fatal(err)
			}
			if res.Failure != nil {
				t.Errorf("lockbench sim --seed %d --steps 4000 --profile %s: %v", seed, name, res.Failure)
			}
		}
	}
}
