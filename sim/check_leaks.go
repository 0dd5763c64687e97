package sim

// leaks is invariant 6: when all is unlocked and time has passed, every table
// on every node is empty, and every claim was closed.
type leaks struct{ watcher }

func (c *leaks) ended() {
	r := c.r
	for _, n := range r.nodes {
		if n.down {
			continue
		}
		for k, s := range n.shards {
			r.evals[inLeaks]++
			st := s.Stats()
			if st.Resources != 0 || st.Locks != 0 || st.ClaimsOpen != 0 || st.HeldNow != 0 || st.Pending != 0 || !s.Quiet() {
				r.fail(inLeaks, nil, "node %d shard %d: %d resources, %d locks, %d claims, %d held messages, %d operations are left, quiet: %v",
					n.id, k, st.Resources, st.Locks, st.ClaimsOpen, st.HeldNow, st.Pending, s.Quiet())
			}
			if st.TwoMasters != 0 || st.Overrun != 0 || st.Recovering {
				r.fail(inAgreement, nil, "node %d shard %d: %+v", n.id, k, st)
			}
			r.stats.add(&st)
			if st.ClaimsMade != st.ClaimsConfirmed+st.ClaimsAdopted+st.ClaimsLost {
				r.fail(inLeaks, nil, "node %d shard %d: of %d claims %d, %d and %d were closed", n.id, k, st.ClaimsMade,
					st.ClaimsConfirmed, st.ClaimsAdopted, st.ClaimsLost)
			}
		}
		if n.open != 0 {
			r.fail(inLeaks, nil, "node %d: %d claims are open", n.id, n.open)
		}
	}
}
