package agent

// failure is the end of a voter that cannot go on.
type failure struct {
	over chan struct{} // closed then
	err  error         // then
}

func (f *failure) is(err error) {
	f.err = err
	close(f.over)
}

// Failed is closed when a voter cannot go on: for its disk, or decisions of a newer version.
// The node has no vote then until the process has started again, which it should soon.
func (a *Agent) Failed() <-chan struct{} { return a.failed.over }

// Failure gives the error for which the voter cannot go on, nil: it can, or there is none.
func (a *Agent) Failure() error {
	select {
	case <-a.failed.over:
		return a.failed.err
	default:
		return nil
	}
}
