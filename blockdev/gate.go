package blockdev

// Gate says whether requests may start that it is the gate of (SQE.Gate). The ring asks it
// when a request is about to go to the device, which for those that are linked or drained
// may be long after Submit. All calls are made by the ring's owner, in Submit, Peek, Wait
// and the like; they must not block.
type Gate interface {
	// Enter tells that a request has been submitted. Leave follows when it has ended.
	Enter()
	Leave()
	// Admit gives OK, or the status with which a request for op ends in place of being
	// started. One answer may do for several requests that start together and are alike
	// in Op.Writes.
	Admit(op Op) Status
}

// Recheck has the ring ask the gates of all its requests again, when its owner calls Peek or
// Wait, or now if it waits. Those that may go on no more are taken back, as by Cancel. Any
// goroutine may call it, and on a closed ring nothing comes of it. It may call RingConfig.Notify, also
// if Arm has not been called.
func (r *Ring) Recheck() {
	if r.closed.Load() {
		return
	}
	r.recheck.Store(true)
	r.backend.Wake()
	if r.cfg.Notify != nil {
		r.cfg.Notify()
	}
}

// enterGates tells the gates of what is being submitted.
func (r *Ring) enterGates() {
	for _, tag := range r.prepared {
		if g := r.slots[tag].Gate; g != nil {
			g.Enter()
		}
	}
}

// admitted asks the gate of q, once for what starts together and each sort of request.
func (r *Ring) admitted(q *Request) Status {
	if writes := q.Op.Writes(); q.Gate != r.asked || writes != r.askedWrites {
		r.answer = q.Gate.Admit(q.Op)
		r.asked, r.askedWrites = q.Gate, writes
	}
	return r.answer
}

// recheckGates takes back what may not go on.
func (r *Ring) recheckGates() {
	r.asked = nil
	for i := range r.slots {
		q := &r.slots[i]
		if q.state <= prepared || q.Gate == nil {
			continue
		}
		if st := q.Gate.Admit(q.Op); st != OK {
			r.takeBack(q, st)
		}
	}
	r.admit()
	r.flush()
}
