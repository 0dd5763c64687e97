package recovery

// Report is what Run has measured. Times are in ms.
type Report struct {
	Nodes int   `json:"nodes"`
	Runs  []Run `json:"runs"` // in the order of Options.Sizes
}

// Run is one cluster of which a node was killed.
type Run struct {
	Locks    int `json:"locks"`    // held
	Affected int `json:"affected"` // of them: mastered by the node that was killed

	DetectMS      float64 `json:"detect_ms"`  // from its end until a node had a view without it
	RecoverMS     float64 `json:"recover_ms"` // from then on, until all names could be locked again
	Unaffected    Pause   `json:"unaffected_pause_ms"`
	AffectedPause Pause   `json:"affected_pause_ms"` // from the view without the dead node on
	CPUMS         float64 `json:"cpu_ms"`            // of the processors, used by the nodes that live while they recovered
	Quiet         Pause   `json:"quiet_pause_ms"`    // of the unaffected, for as long as a lease before the kill

	// The same without the times in which the machine was slow, whoever did what (package
	// steady), and the share of those.
	UnaffectedSteady Pause   `json:"unaffected_steady_pause_ms"`
	QuietSteady      Pause   `json:"quiet_steady_pause_ms"`
	Slow             float64 `json:"slow_share"`
	QuietSlow        float64 `json:"quiet_slow_share"`

	Messages uint64 `json:"messages"` // between the nodes that live, from the kill to the end
	Bytes    uint64 `json:"bytes"`    // that they have sent to each other, with those of the programs

	MasterBytes float64 `json:"bytes_per_lock"` // of heap, on the master, for each lock that a program at another node holds
	Lost        uint64  `json:"locks_lost"`     // of programs whose node lives
}

// Pause is how long the longest operation of a program took, over the programs.
type Pause struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}
