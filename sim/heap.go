package sim

// event is something that will happen.
type event struct {
	at   int64  // ns of simulated time
	seq  uint64 // order among events of the same time
	lane *lane  // deliver its first packet; nil: a timer
	kind timerKind
	node int32
}

// timerKind says what a timer does.
type timerKind uint8

const (
	timerTick    timerKind = iota // a node's Tick
	timerProgram                  // a program on the node does something
	timerFault                    // the network or a node gets worse, or better
	timerLink                     // a link is mended, unless it was cut again
	timerFence                    // the lease of a node that is cut off ends
	timerInstall                  // a node installs a view
	timerWork                     // and goes on with what that has brought
	timerSeat                     // a node's server and member tick
	timerParcel                   // a message between them arrives
	timerBoot                     // a process starts
	timerWake                     // a process that was stopped goes on
	timerJoin                     // a node that was fenced begins anew
	timerAgent                    // a fence agent ends a node
	timerScript                   // the next operation of a recorded run
)

// heap holds events, the next one first.
type heap struct{ list []event }

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

func (h *heap) push(e event) {
	h.list = append(h.list, e)
	i := len(h.list) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !h.list[i].before(&h.list[up]) {
			break
		}
		h.list[i], h.list[up] = h.list[up], h.list[i]
		i = up
	}
}

func (h *heap) pop() event {
	first := h.list[0]
	n := len(h.list) - 1
	h.list[0] = h.list[n]
	h.list = h.list[:n]
	for i := 0; ; {
		least, left := i, 2*i+1
		for c := left; c <= left+1 && c < n; c++ {
			if h.list[c].before(&h.list[least]) {
				least = c
			}
		}
		if least == i {
			return first
		}
		h.list[i], h.list[least] = h.list[least], h.list[i]
		i = least
	}
}
