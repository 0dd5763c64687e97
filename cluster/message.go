package cluster

import (
	"fmt"
	"math"
)

// messageKind says what a message of this package is.
type messageKind uint8

const (
	msgRaft    messageKind = 1 + iota // voter -> voter: body is a message of Raft
	msgRenew                          // member -> voter: renewal seq; I have version
	msgRenewed                        // voter -> member: answer to seq; what it lacks
	msgAsk                            // node -> voter: body is command seq
	msgAnswer                         // voter -> node: outcome of command seq
	msgEvents                         // leader -> member: what has been decided
	msgEnd
)

// message is one of this package. Fields that a kind does not name are zero.
type message struct {
	kind     messageKind
	cluster  uint64   // all; 0 in msgAsk of a node that knows none yet
	instance uint64   // renew, ask: the sender; renewed, answer, events: the receiver
	seq      uint64   // renew, renewed, ask, answer
	version  uint64   // renew: of the sender's state; renewed, events: before events
	status   Status   // renewed, answer
	id       uint16   // answer: the node's id
	leader   uint16   // renewed, answer: id of the leader, 0: not known
	addr     string   // renewed, answer: its address
	body     []byte   // raft, ask; renewed: a whole state instead of events
	events   [][]byte // renewed, events: commands
}

// maxEvents bounds the events of one message, and those that are remembered.
const (
	maxEvents     = 512
	maxEventBytes = 64 << 10
)

// append encodes m behind b.
func (m *message) append(b []byte) []byte {
	b = append(b, formatVersion, byte(m.kind))
	b = appendU64(b, m.cluster)
	if m.kind == msgRaft {
		return appendBytes(b, m.body)
	}
	b = appendU64(b, m.instance)
	b = appendUint(b, m.seq)
	switch m.kind {
	case msgRenew:
		return appendUint(b, m.version)
	case msgAsk:
		return appendBytes(b, m.body)
	case msgRenewed, msgAnswer:
		b = append(b, byte(m.status))
		b = appendUint(b, uint64(m.leader))
		b = appendBytes(b, m.addr)
		b = appendUint(b, uint64(m.id))
		b = appendBytes(b, m.body)
	}
	b = appendUint(b, m.version)
	b = appendUint(b, uint64(len(m.events)))
	for _, e := range m.events {
		b = appendBytes(b, e)
	}
	return b
}

// decodeMessage reads what append has written. The message refers to b.
func decodeMessage(b []byte) (*message, error) {
	if len(b) > MaxPayload {
		return nil, fmt.Errorf("%w: a message of %d bytes", ErrInvalid, len(b))
	}
	r := &reader{b: b}
	r.version()
	m := &message{kind: messageKind(r.byte()), cluster: r.u64()}
	switch {
	case m.kind == 0 || m.kind >= msgEnd:
		r.fail("message of an unknown kind")
	case m.kind == msgRaft:
		m.body = r.bytes(MaxPayload)
		return m, r.end()
	}
	m.instance, m.seq = r.u64(), r.uint(math.MaxUint64)
	switch m.kind {
	case msgRenew:
		m.version = r.uint(math.MaxUint64)
		return m, r.end()
	case msgAsk:
		m.body = r.bytes(MaxPayload)
		return m, r.end()
	case msgRenewed, msgAnswer:
		m.status = Status(r.byte())
		m.leader, m.addr = uint16(r.uint(math.MaxUint16)), string(r.bytes(MaxAddr))
		m.id, m.body = uint16(r.uint(math.MaxUint16)), r.bytes(MaxPayload)
	}
	m.version = r.uint(math.MaxUint64)
	for range r.count(maxEvents, 1) {
		m.events = append(m.events, r.bytes(maxEventBytes))
	}
	return m, r.end()
}

// Message is one to hand over to another node. It may be lost, come twice, or
// be overtaken; the parts that send it do so again.
type Message struct {
	To      uint16 // node id; 0: whoever is at Addr
	Addr    string // where To is, "" if only its link can say
	Payload []byte // opaque; at most MaxPayload bytes
}

// ForServer says that a message is for the Server of the node that got it; else
// it is for its Member.
func ForServer(payload []byte) bool {
	return len(payload) > 1 && payload[0] == formatVersion &&
		(messageKind(payload[1]) == msgRaft || messageKind(payload[1]) == msgRenew || messageKind(payload[1]) == msgAsk)
}
