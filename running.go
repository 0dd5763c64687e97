package lockify

import (
	"cmp"
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// running is an operation that the node has not answered.
type running struct {
	lock *Lock
	done func(*wire.Msg, error) // instead of lock: open, close, barrier
}

// operations are those that run, by request number. A number is that of a place, plus 1,
// and above it how often places have been given: so none comes again while somebody may
// still speak of the first one, and to find its operation costs nothing. The zero value is
// ready.
type operations struct {
	places []operation
	free   []uint32 // places
	given  uint64
	n      int
}

type operation struct {
	req uint64 // 0: the place is free
	running
}

const placeBits = 32

// add gives r a number, which is not 0.
func (o *operations) add(r running) (req uint64) {
	at := len(o.places)
	if last := len(o.free) - 1; last >= 0 {
		at = int(o.free[last])
		o.free = o.free[:last]
	} else {
		o.places = append(o.places, operation{})
	}
	o.given++
	req = o.given<<placeBits | uint64(at+1)
	o.places[at] = operation{req, r}
	o.n++
	return req
}

// take gives the operation with a number, and forgets it.
func (o *operations) take(req uint64) (r running, ok bool) {
	at := int(req&(1<<placeBits-1)) - 1
	if at < 0 || at >= len(o.places) || o.places[at].req != req {
		return r, false
	}
	r = o.places[at].running
	o.places[at] = operation{}
	o.free = append(o.free, uint32(at))
	o.n--
	return r, true
}

// takeAll gives all operations, in the order in which they have begun.
func (o *operations) takeAll() (all []running) {
	list := slices.DeleteFunc(o.places, func(x operation) bool { return x.req == 0 })
	slices.SortFunc(list, func(a, b operation) int { return cmp.Compare(a.req, b.req) })
	for _, x := range list {
		all = append(all, x.running)
	}
	*o = operations{given: o.given}
	return all
}

func (r running) fail(err error) {
	if r.done != nil {
		r.done(nil, err)
		return
	}
	r.lock.run(r.lock.complete(0, err, wire.LostLock, &lockspace.Completion{Mode: lockspace.NoMode}))
}

// refuse is fail for what has not begun: an asynchronous operation hears of it at once.
func (r running) refuse(err error) {
	l := r.lock
	if l == nil {
		r.fail(err)
		return
	}
	l.mu.Lock()
	done := l.done
	l.done = nil
	l.mu.Unlock()
	r.fail(err)
	if done != nil {
		l.later(done, nil)
	}
}
