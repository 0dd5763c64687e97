package trace

import (
	"errors"
	"fmt"
	"math"
)

// ErrOrder says that a trace's rows can't be put in an order that respects
// its messages.
var ErrOrder = errors.New("trace: no consistent order")

// timeline is a trace in one order over all nodes, true to the order within
// each node and to "a message is sent before it is received".
type timeline struct {
	tr    *Trace
	order []int   // positions in the file (indexes of Events), in the global order
	at    []int   // inverse of order: at[event] is its place
	sent  []int   // recv event -> its send event, else -1
	recvd []int   // send event -> its recv event, else -1
	shift []int64 // per index in tr.Nodes: microseconds to add to that node's clock
}

// newTimeline orders tr. Two nodes at most may exchange messages: a send row
// does not say where it goes.
func newTimeline(tr *Trace) (*timeline, error) {
	tl := &timeline{tr: tr, shift: make([]int64, len(tr.Nodes))}
	if err := tl.matchMessages(); err != nil {
		return nil, err
	}
	if err := tl.alignClocks(); err != nil {
		return nil, err
	}
	if err := tl.merge(); err != nil {
		return nil, err
	}
	return tl, nil
}

// matchMessages pairs each recv row with its send row. The kernel's transport
// delivers in order, and the tracepoints lie where messages enter and leave
// it, so the k-th message received is the k-th sent; type and lock number
// must agree.
func (tl *timeline) matchMessages() error {
	tr := tl.tr
	tl.sent, tl.recvd = filled(len(tr.Events)), filled(len(tr.Events))
	queues := map[int][]int{} // sender -> its send rows
	for i := range tr.Events {
		if ev := &tr.Events[i]; ev.Kind == KindSend {
			queues[ev.Node] = append(queues[ev.Node], i)
		}
	}
	if len(queues) > 0 && len(tr.Nodes) > 2 {
		return fmt.Errorf("%w: %s: messages between %d nodes; a row does not name the receiver, so two is the most",
			ErrOrder, tr.Name, len(tr.Nodes))
	}
	for i := range tr.Events {
		ev := &tr.Events[i]
		if ev.Kind != KindRecv {
			continue
		}
		q := queues[ev.From]
		if len(q) == 0 {
			return fmt.Errorf("%w: %s:%d: %v received, never sent", ErrOrder, tr.Name, ev.Line, ev.Msg)
		}
		s := &tr.Events[q[0]]
		if s.Msg != ev.Msg || s.LockID != ev.LockID {
			return fmt.Errorf("%w: %s:%d: %v of lock %d received where %v of lock %d (line %d) was sent",
				ErrOrder, tr.Name, ev.Line, ev.Msg, ev.LockID, s.Msg, s.LockID, s.Line)
		}
		tl.sent[i], tl.recvd[q[0]] = q[0], i
		queues[ev.From] = q[1:]
	}
	return nil
}

// alignClocks finds by how much the second node's clock is ahead of the
// first's: not by more than the quickest message from first to second seems
// to take, not by less than the quickest one back seems to arrive before it
// was sent. The middle of that window is off by half the quickest round trip
// at most.
func (tl *timeline) alignClocks() error {
	tr := tl.tr
	if len(tr.Nodes) < 2 {
		return nil
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	for i, s := range tl.sent {
		if s < 0 {
			continue
		}
		recv, send := &tr.Events[i], &tr.Events[s]
		if send.Node == tr.Nodes[0] {
			high = min(high, recv.TimeUS-send.TimeUS)
		} else {
			low = max(low, send.TimeUS-recv.TimeUS)
		}
	}
	ahead := int64(0)
	switch {
	case low == math.MinInt64 && high == math.MaxInt64:
	case low == math.MinInt64:
		ahead = high
	case high == math.MaxInt64:
		ahead = low
	case low > high:
		return fmt.Errorf("%w: %s: the clocks of nodes %d and %d drift against each other by more than %d us",
			ErrOrder, tr.Name, tr.Nodes[0], tr.Nodes[1], low-high)
	default:
		ahead = low + (high-low)/2
	}
	tl.shift[1] = -ahead
	return nil
}

// merge lays the nodes' rows together by aligned time; of rows at the same
// time the receiver's waits for the sender's.
func (tl *timeline) merge() error {
	tr := tl.tr
	rows := make([][]int, len(tr.Nodes))
	for i := range tr.Events {
		n := tl.nodeIndex(tr.Events[i].Node)
		rows[n] = append(rows[n], i)
	}
	tl.at = filled(len(tr.Events))
	for len(tl.order) < len(tr.Events) {
		best := -1
		for n := range rows {
			if len(rows[n]) == 0 {
				continue
			}
			if s := tl.sent[rows[n][0]]; s >= 0 && tl.at[s] < 0 {
				continue
			}
			if best < 0 || tl.timeUS(rows[n][0]) < tl.timeUS(rows[best][0]) {
				best = n
			}
		}
		if best < 0 {
			return fmt.Errorf("%w: %s: messages wait for each other in a circle", ErrOrder, tr.Name)
		}
		i := rows[best][0]
		rows[best] = rows[best][1:]
		tl.at[i] = len(tl.order)
		tl.order = append(tl.order, i)
	}
	return nil
}

// timeUS gives event i's time on the first node's clock.
func (tl *timeline) timeUS(i int) int64 {
	ev := &tl.tr.Events[i]
	return ev.TimeUS + tl.shift[tl.nodeIndex(ev.Node)]
}

// nodeIndex gives a node number's place in Nodes.
func (tl *timeline) nodeIndex(node int) int {
	for i, n := range tl.tr.Nodes {
		if n == node {
			return i
		}
	}
	panic(fmt.Sprintf("trace: no node %d", node)) // Nodes was made from the events
}

// filled gives n times -1.
func filled(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = -1
	}
	return s
}
