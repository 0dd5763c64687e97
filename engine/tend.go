package engine

// A program that has much under way handles answers many at a time, and each time asks for
// more. Were it to sleep in between, the node would have to wake it for each lot, and one goroutine
// another: that takes longer than the lot. So the goroutine that handles answers also reads
// them, and while it handles them nobody is woken for what comes.

// tender is what Tend and Rest are for.
type tender interface {
	tend(over func() bool) bool
	rest()
}

func (fc *FrameConn) tender() tender {
	if g := fc.ring.Load(); g != nil {
		return g
	}
	t, _ := fc.c.(tender)
	return t
}

// Tend handles what comes, on the caller's goroutine, until over says true; it is asked behind
// frames. Then nobody is woken for what comes next: the caller must call Tend or Rest very soon.
// false: somebody else reads, or nothing has come for so long that it is not worth while to look
// for it; nothing has to be called then. The caller must not hold what handlers need.
func (fc *FrameConn) Tend(over func() bool) bool {
	t := fc.tender()
	return t != nil && t.tend(over)
}

// Rest ends what Tend has begun, whoever calls it: what has come is read, what comes wakes
// the connection's own goroutine.
func (fc *FrameConn) Rest() {
	if t := fc.tender(); t != nil {
		t.rest()
	}
}

func (g *ring) tend(over func() bool) (ok bool) {
	if !g.in.Load() || !g.role.TryLock() {
		return false // who has the role sleeps in the end
	}
	if spins := g.goesOn() && g.spin.begin(); spins {
		g.end.Wake()
		ok = g.read(over)
		g.spin.end()
	}
	if !ok {
		g.give(g.turn())
		return false
	}
	g.role.Unlock()
	return true
}

// read reads until over says true. false: the end, or nothing comes soon. role is held.
func (g *ring) read(over func() bool) bool {
	for g.goesOn() {
		n, ok := g.take()
		if !ok || n == 0 && !g.spin.await(g.end, memoryLooks) {
			return false
		}
		if n > 0 && over() {
			return true
		}
	}
	return false
}

func (g *ring) rest() {
	if g.in.Load() {
		g.serve()
	}
}
