package core

import "github.com/lockify-dlm/lockify/blockdev/nvme"

// events are a controller's Asynchronous Event Requests and the events that wait for
// them. An event is not told again before its log page has been read.
type events struct {
	requests []int32 // slots of the admin queue
	pending  []nvme.AsyncEvent
	masked   []nvme.AsyncEvent // told; their log pages have not been read
}

// request takes a request.
func (e *events) request(s *Session, i int32) {
	if len(e.requests) == maxAERs {
		s.finish(i, nvme.StatusAsyncLimit)
		return
	}
	s.slots[i].state = parked
	e.requests = append(e.requests, i)
	s.controller.deliver()
}

// add notes an event, once.
func (c *Controller) event(ev nvme.AsyncEvent, wanted bool) {
	e := &c.events
	if !wanted || c.gone || c.status&nvme.StatusReady == 0 {
		return
	}
	for _, p := range e.pending {
		if p == ev {
			return
		}
	}
	e.pending = append(e.pending, ev)
	c.admin.wake()
}

// deliver tells what waits and is not masked.
func (e *events) deliver(s *Session, f *features) {
	kept := e.pending[:0]
	for _, ev := range e.pending {
		if len(e.requests) == 0 || e.isMasked(ev) {
			kept = append(kept, ev)
			continue
		}
		i := e.requests[0]
		e.requests = e.requests[:copy(e.requests, e.requests[1:])]
		e.masked = append(e.masked, ev)
		s.respond(i, nvme.StatusSuccess, ev.Value())
	}
	e.pending = kept
}

func (e *events) isMasked(ev nvme.AsyncEvent) bool {
	for _, m := range e.masked {
		if m.Type == ev.Type && m.Log == ev.Log {
			return true
		}
	}
	return false
}

// clear notes that a log page has been read: events that point to it may be told again.
func (e *events) clear(log nvme.LogID) {
	kept := e.masked[:0]
	for _, m := range e.masked {
		if m.Log != log {
			kept = append(kept, m)
		}
	}
	e.masked = kept
}

// take aborts a request.
func (e *events) take(s *Session, cid uint16) bool {
	for k, i := range e.requests {
		if s.slots[i].cmd.CID == cid {
			e.requests = append(e.requests[:k], e.requests[k+1:]...)
			s.complete(i, nvme.StatusAborted)
			return true
		}
	}
	return false
}

// abort ends all requests.
func (e *events) abort(s *Session) {
	for _, i := range e.requests {
		s.complete(i, nvme.StatusAbortedQueue)
	}
	*e = events{}
}
