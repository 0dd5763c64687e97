package blockdev

// enqueue lets a chain in, or holds it.
func (r *Ring) enqueue(head *Request) {
	if r.heldHead == none && r.mayStart(head) {
		r.begin(head)
		return
	}
	for q := head; ; q = &r.slots[q.next] {
		q.state = held
		if q.next == none {
			break
		}
	}
	head.queue = none
	tag := int32(head.Tag)
	if r.heldHead == none {
		r.heldHead = tag
	} else {
		r.slots[r.heldTail].queue = tag
	}
	r.heldTail = tag
}

func (r *Ring) mayStart(head *Request) bool {
	return r.active == 0 || !r.draining && !head.drain
}

// begin lets a chain in and starts its first request.
func (r *Ring) begin(head *Request) {
	r.draining = head.drain
	for q := head; ; q = &r.slots[q.next] {
		q.state = waiting
		r.active++
		if q.next == none {
			break
		}
	}
	r.run(int32(head.Tag))
}

// admit lets in the chains that need not be held any longer.
func (r *Ring) admit() {
	for r.heldHead != none {
		head := &r.slots[r.heldHead]
		if !r.mayStart(head) {
			return
		}
		if r.heldHead = head.queue; r.heldHead == none {
			r.heldTail = none
		}
		r.begin(head)
	}
}

// run starts the request tag, whose turn it is. If it ends here, the next of its chain
// follows.
func (r *Ring) run(tag int32) {
	for tag != none {
		q := &r.slots[tag]
		st := q.check(&r.info)
		if st == OK && q.Gate != nil {
			st = r.admitted(q)
		}
		if st == OK && q.Op != Nop {
			q.state = inFlight
			r.batch = append(r.batch, q)
			return
		}
		tag = r.end(q, st, 0)
	}
}

// end completes a request that was let in, and gives the next of its chain if that may
// start; if q has failed, those behind it end, too.
func (r *Ring) end(q *Request, st Status, n int64) int32 {
	next := q.next
	r.complete(q, st, n)
	if st == OK {
		return next
	}
	r.breakChain(next)
	return none
}

func (r *Ring) breakChain(tag int32) {
	for tag != none {
		q := &r.slots[tag]
		tag = q.next
		r.complete(q, StatusLinkBroken, 0)
	}
}

// Cancel takes back all submitted requests with this UserData, and says how many that
// were. Their CQEs tell what came of it.
func (r *Ring) Cancel(userData uint64) int {
	if r.closed.Load() {
		return 0
	}
	n := 0
	r.asked = nil
	for i := range r.slots {
		q := &r.slots[i]
		if q.state > prepared && q.UserData == userData {
			n++
			r.takeBack(q, StatusCanceled)
		}
	}
	r.admit()
	r.flush()
	return n
}

// takeBack ends q with st if it has not started; else the backend shall give it back.
func (r *Ring) takeBack(q *Request, st Status) {
	if q.state == inFlight {
		r.flush() // it may still be in the batch
		r.backend.Cancel(q)
		return
	}
	tag := int32(q.Tag)
	if q.state == held && r.unhold(tag) {
		r.end(q, st, 0)
		return
	}
	for i := range r.slots {
		if before := &r.slots[i]; before.state > prepared && before.next == tag {
			before.next = none
		}
	}
	r.end(q, st, 0)
}

// unhold removes the chain that begins with tag from the list of those held, and says
// whether there is one.
func (r *Ring) unhold(tag int32) bool {
	before := none
	for at := r.heldHead; at != none; before, at = at, r.slots[at].queue {
		if at != tag {
			continue
		}
		after := r.slots[at].queue
		if before == none {
			r.heldHead = after
		} else {
			r.slots[before].queue = after
		}
		if after == none {
			r.heldTail = before
		}
		return true
	}
	return false
}
