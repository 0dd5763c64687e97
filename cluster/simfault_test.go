package cluster

import "slices"

// fault is one random fault, and the next one's time.
func (w *world) fault() {
	if w.calm {
		return
	}
	w.after(1+w.rng.Int64N(2*w.p.faultEvery), w.fault)
	m := w.machines[w.rng.IntN(len(w.machines))]
	if w.rng.IntN(3) == 0 {
		m = w.leader(m)
	}
	switch k := w.rng.IntN(13); {
	case !m.up || m.stopped:
	case k < 2:
		w.crash(m)
	case k < 5:
		w.pause(m)
	case k < 9:
		w.cut(m)
	case k == 9:
		w.operator(m, Command{Kind: Remove, ID: w.machines[w.rng.IntN(len(w.machines))].id})
	case k == 10:
		w.operator(m, Command{Kind: Promote, ID: w.machines[w.rng.IntN(len(w.machines))].id})
	case k == 12 && m.server != nil:
		w.tracef("machine %d resigns", m.id)
		m.fromServer(m.server.Resign(m.clock()))
	case k == 11:
		w.operator(m, Command{Kind: Leave, KeepVote: w.rng.IntN(2) == 0})
	}
}

// leader gives the machine that leads, or m.
func (w *world) leader(m *machine) *machine {
	for _, o := range w.machines {
		if o.up && o.server != nil {
			if _, self := o.server.Leader(); self {
				return o
			}
		}
	}
	return m
}

// crash ends a process; it comes back, now and then without its store, but no
// more than one store is lost at a time.
func (w *world) crash(m *machine) {
	w.stats.crashes++
	wipe := m.disk != nil && w.rng.IntN(3) == 0 && w.mayWipe(m)
	if wipe {
		w.stats.wipes++
	}
	w.tracef("machine %d crashes, its store lost: %v", m.id, wipe)
	m.crash(wipe)
	w.after(w.rng.Int64N(3*w.p.terms.Lease), func() { m.boot() })
}

// mayWipe says that the cluster can do without m's store: three voters or more
// are there, with their stores, and nobody is giving up a vote.
func (w *world) mayWipe(m *machine) bool {
	if w.hurt() {
		return false
	}
	for _, o := range w.machines {
		if o.member == nil || o.member.busyWithVotes() {
			return false
		}
		if o.disk == nil || o == m && o.server == nil {
			continue
		}
		if o.server == nil {
			return false // what it knows is not known
		}
		voters := o.server.conf.GetVoters()
		if len(voters) > 0 && (len(voters) < 3 || len(voters) != len(w.check.last.Voters)) {
			return false
		}
		for _, v := range voters {
			if p := w.machines[NodeOf(v)-1]; p.disk == nil || p.disk.store != v {
				return false
			}
		}
	}
	return true
}

// hurt says that a store is lost and still has a vote somewhere.
func (w *world) hurt() bool {
	for _, o := range w.machines {
		if o.server != nil && w.wiped != 0 && slices.Contains(o.server.conf.GetVoters(), w.wiped) {
			return true
		}
	}
	return false
}

// busyWithVotes says that a member waits for something that takes a vote.
func (m *Member) busyWithVotes() bool {
	for _, p := range m.asks {
		if c, err := DecodeCommand(p.body); err == nil && (c.Kind == Remove || c.Kind == Leave) {
			return true
		}
	}
	return false
}

func (w *world) pause(m *machine) {
	w.stats.pauses++
	m.stopped = true
	w.tracef("machine %d stops", m.id)
	life := m.life
	w.after(1+w.rng.Int64N(2*w.p.terms.Lease), func() {
		if m.life == life && m.up {
			m.resume()
		}
	})
}

func (m *machine) resume() {
	m.w.tracef("machine %d goes on", m.id)
	m.stopped = false
	list := m.waiting
	m.waiting = nil
	for _, do := range list {
		do()
	}
}

// cut lets messages of one direction get lost, or those of a machine to and
// from all others.
func (w *world) cut(m *machine) {
	w.stats.cuts++
	o := w.machines[w.rng.IntN(len(w.machines))]
	whole := w.rng.IntN(3) == 0
	set := func(to bool) {
		for i := range w.machines {
			if whole || i == int(o.id)-1 {
				m.cutTo[i] = to
				if whole {
					w.machines[i].cutTo[m.id-1] = to
				}
			}
		}
	}
	w.tracef("machine %d is cut off from %d, all: %v", m.id, o.id, whole)
	set(true)
	w.after(w.rng.Int64N(3*w.p.terms.Lease), func() { set(false) })
}

// operator asks for something at a machine.
func (w *world) operator(m *machine, c Command) {
	if w.hurt() && c.Kind != Promote {
		return // whoever takes votes while one is lost may lose the cluster
	}
	if m.member.phase != Active || c.Kind == Remove && w.rng.IntN(2) == 0 {
		return
	}
	if _, out, err := m.member.Ask(m.clock(), c); err == nil {
		w.tracef("machine %d asks: %s %d", m.id, c.Kind, c.ID)
		if c.Kind == Leave {
			m.leaves = append(m.leaves, m.member.instance)
		}
		m.send(out.Messages)
	}
}

// settle ends all faults and lets the cluster come to rest.
func (w *world) settle() {
	w.calm = true
	for _, m := range w.machines {
		clear(m.cutTo)
		switch {
		case !m.up:
			m.boot()
		case m.stopped:
			m.resume()
		}
	}
	for range 60 {
		if w.failure != "" || w.check.settled(w) == "" {
			return
		}
		w.run(w.now + 500*ms)
	}
	if w.failure == "" {
		w.fail("no rest 30 s after the last fault: %s", w.check.settled(w))
	}
}
