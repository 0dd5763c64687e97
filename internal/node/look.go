package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/wire"
)

// What people want to know about the cluster, one node asks the others over the links, as
// their admin addresses are often on the loopback interface only.
//
//	asking node                     asked node
//	Look --- question, JSON ---->   answer (lookat.go), on a goroutine of its own
//	     <-- answer, in pieces --   the last one is marked
//
// A frame of KindLook has 1 byte what it is, 8 bytes number of the question, and JSON. What
// a node does not know in the JSON it ignores, so fields may be added.

// Errors of Look.
var (
	ErrNoAnswer = errors.New("node: no answer")         // not linked, too old, or ended meanwhile
	ErrAnswer   = errors.New("node: the other refuses") // with its text
)

const (
	lookQuestion byte = iota + 1
	lookPiece
	lookLast

	lookHead   = 9         // bytes in front of the JSON
	lookSize   = 256 << 10 // bytes of a piece
	maxAnswer  = 32 << 20  // bytes of an answer
	maxAnswers = 8         // questions of other nodes that are answered at the same time
)

// looks are the questions that this node has asked, and those that it answers.
type looks struct {
	mu      sync.Mutex
	last    uint64
	asked   map[uint64]*asking
	running chan struct{} // one element for each that is answered
}

// asking is a question that has been asked.
type asking struct {
	peer uint16
	text []byte
	done chan error // one element
}

func newLooks() *looks {
	return &looks{asked: map[uint64]*asking{}, running: make(chan struct{}, maxAnswers)}
}

// Look asks a node, which may be this one. Errors: ErrNoAnswer, ErrAnswer, that of ctx.
func (n *Node) Look(ctx context.Context, id uint16, q *Query) (*Report, error) {
	if id == n.cfg.ID {
		return n.lookAt(ctx, q)
	}
	if n.peers.slot(id) < 0 || !n.peers.of(id).looks.Load() {
		return nil, fmt.Errorf("%w of node %d: there is no link to it, or it is of an older version", ErrNoAnswer, id)
	}
	text, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	a := &asking{peer: id, done: make(chan error, 1)}
	l := n.looks
	l.mu.Lock()
	l.last++
	number := l.last
	l.asked[number] = a
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.asked, number)
	}()
	n.sendLook(id, lookQuestion, number, text)
	select {
	case err = <-a.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w of node %d: %w", ErrNoAnswer, id, ctx.Err())
	case <-n.over:
		return nil, fmt.Errorf("%w of node %d: this node takes no part any more", ErrNoAnswer, id)
	}
	if err != nil {
		return nil, err
	}
	r := &Report{}
	if err := json.Unmarshal(a.text, r); err != nil {
		return nil, fmt.Errorf("%w of node %d that can be read: %w", ErrNoAnswer, id, err)
	}
	if r.Err != "" {
		return nil, fmt.Errorf("%w: node %d: %s", ErrAnswer, id, r.Err)
	}
	return r, nil
}

func (n *Node) sendLook(id uint16, what byte, number uint64, text []byte) {
	buf := engine.GetBufSize(lookHead + len(text))
	buf = binary.LittleEndian.AppendUint64(append(buf, what), number)
	n.links.Send(id, append(buf, text...), wire.Header{Kind: wire.KindLook, Epoch: n.epoch.Load(), Instance: n.cfg.Instance})
}

// onLook takes a frame of KindLook, on the goroutine that read it.
func (n *Node) onLook(from uint16, payload []byte) {
	if len(payload) < lookHead {
		n.cfg.Logger.Error("bad question dropped", "peer", from, "bytes", len(payload))
		return
	}
	what, number, text := payload[0], binary.LittleEndian.Uint64(payload[1:]), payload[lookHead:]
	if what != lookQuestion {
		n.looks.answered(from, number, text, what == lookLast)
		return
	}
	q := &Query{}
	if err := json.Unmarshal(text, q); err != nil {
		go n.sendAnswer(from, number, &Report{Err: "the question cannot be read: " + err.Error()})
		return
	}
	select {
	case n.looks.running <- struct{}{}:
		go func() {
			defer func() { <-n.looks.running }()
			ctx, cancel := context.WithTimeout(context.Background(), lookTime)
			defer cancel()
			r, err := n.lookAt(ctx, q)
			if err != nil {
				r = &Report{Err: err.Error()}
			}
			n.sendAnswer(from, number, r)
		}()
	default:
		go n.sendAnswer(from, number, &Report{Err: fmt.Sprintf("%d questions are being answered already", maxAnswers)})
	}
}

// lookTime bounds the answer to another node's question.
const lookTime = 10 * time.Second

func (n *Node) sendAnswer(to uint16, number uint64, r *Report) {
	text, err := json.Marshal(r)
	if err == nil && len(text) > maxAnswer {
		err = fmt.Errorf("the answer has %d bytes, at most %d", len(text), maxAnswer)
	}
	if err != nil {
		text = fmt.Appendf(nil, `{"err":%q}`, err.Error())
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	for len(text) > lookSize {
		if n.links.WaitUncongested(ctx) != nil {
			return // nobody waits for it any more
		}
		n.sendLook(to, lookPiece, number, text[:lookSize])
		text = text[lookSize:]
	}
	n.sendLook(to, lookLast, number, text)
}

// answered takes a piece of an answer. One that nobody waits for any more is dropped.
func (l *looks) answered(from uint16, number uint64, piece []byte, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.asked[number]
	if a == nil || a.peer != from {
		return
	}
	a.text = append(a.text, piece...)
	var err error
	if len(a.text) > maxAnswer {
		err = fmt.Errorf("%w of node %d with less than %d bytes", ErrNoAnswer, from, maxAnswer)
	}
	if last || err != nil {
		delete(l.asked, number)
		a.done <- err
	}
}

// Others gives the ids of the other nodes of the cluster.
func (n *Node) Others() []uint16 {
	var ids []uint16
	for _, p := range n.peers.members() {
		ids = append(ids, p.id)
	}
	return ids
}
