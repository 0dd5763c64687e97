package cluster

import (
	"fmt"
	"slices"

	"github.com/lockify-dlm/lockify/lockspace"
)

// Contact is where a voter may be reached: an address, or the id of a node that
// has a link.
type Contact struct {
	ID   uint16
	Addr string
}

// MemberConfig says who wants to be a member.
type MemberConfig struct {
	// Instance is that of this start of the node: unique for ever. With the low
	// 16 bits 0 the cluster chooses the node's id; Member.Instance has it then.
	Instance uint64
	Features uint64 // what it understands
	Store    uint64 // number of its Server's store; 0: it has none, and never votes
	Addr     string // where others dial it; at most 100 bytes
	Cluster  uint64 // the cluster it belongs to; 0: that of the first to answer
	Contacts []Contact
	Retry    int64 // ns until a question is asked again: 10 ms to 1 min

	// Without is the rules that do not hold, for tests.
	Without Rules
	// Applied is shown each version of the state as it comes, for tests; nil: nobody
	// looks. It must neither change it nor keep it.
	Applied func(*State)
}

// Phase is how far a membership is.
type Phase uint8

const (
	// Joining: it asks to be let in.
	Joining Phase = iota
	// Active: it has a lease. Ask Valid whether that has ended meanwhile.
	Active
	// Ended: it is fenced, has left or was removed; Reason says why. What it
	// held is not its own any more. To go on, start anew with another instance.
	Ended
)

// SpaceView is a view to install in a lockspace. lockspace.NewView makes one of
// it, which takes time in proportion to the members.
type SpaceView struct {
	Space   string
	Epoch   uint64
	Members []lockspace.Member
}

// Answer is the outcome of Ask.
type Answer struct {
	Req uint64
	Err error
}

// Member is a node's side of its membership: it joins, renews the lease, and
// knows when the lease has ended. It is pure, and not safe for use by several
// goroutines. Each now is a reading of CLOCK_BOOTTIME in ns, made when the
// message or tick is there, and never before a pause.
type Member struct {
	cfg      MemberConfig
	instance uint64
	cluster  uint64
	phase    Phase
	reason   error

	state *State // nil: not known yet
	until int64  // when the lease ends; 0: it has not begun
	since int64  // when the renewal that it rests on was sent

	sent    [16]sentRenewal // the last renewals, by number
	seq     uint64
	renewAt int64
	retryAt int64 // when what is asked is asked elsewhere
	asks    []pending
	req     uint64
	target  int // of contacts()
	lead    Contact
	hints   int // hints that were followed since something was asked; they may go in a circle

	now   int64
	out   Output
	views []SpaceView
	done  []Answer
	late  []lateAnswer // until their versions have come
}

type sentRenewal struct {
	seq uint64
	at  int64
}

// lateAnswer is one of a command that led to a version.
type lateAnswer struct {
	Answer
	version uint64
}

type pending struct {
	req  uint64
	body []byte
}

// maxPending bounds the commands of a member that wait for an answer.
const maxPending = 2048

// NewMember begins to join.
func NewMember(cfg MemberConfig) (*Member, error) {
	c := Command{Kind: Join, Instance: cfg.Instance, Features: cfg.Features, Raft: cfg.Store, Addr: cfg.Addr}
	if cfg.Retry < 10e6 || cfg.Retry > 60e9 || len(cfg.Contacts) == 0 {
		return nil, fmt.Errorf("%w: no contacts, or they are asked too often", ErrInvalid)
	}
	body := c.Append(nil)
	if _, err := DecodeCommand(body); err != nil {
		return nil, err
	}
	m := &Member{cfg: cfg, instance: cfg.Instance, cluster: cfg.Cluster}
	m.asks = []pending{{0, body}}
	return m, nil
}

// Instance gives the instance; its low 16 bits, the node id, are 0 as long as
// the cluster has not chosen one.
func (m *Member) Instance() uint64 { return m.instance }

// Phase gives how far the membership is, and why it has ended.
func (m *Member) Phase() (Phase, error) { return m.phase, m.reason }

// State gives what this member knows to be agreed, nil: nothing yet. It is valid
// until the next call, and must not be changed.
func (m *Member) State() *State { return m.state }

// Lease gives the time until which the lease lasts, 0: it has not begun. It
// goes with each grant to a client, who counts for himself.
func (m *Member) Lease() int64 { return m.until }

// Valid says that the lease lasts at now, a reading of the clock made just now:
// only then may anything be granted, or sent that was held back.
func (m *Member) Valid(now int64) bool {
	return m.phase == Active && (now < m.until || m.cfg.Without&RuleSelfFence != 0)
}

// Views gives the views that are to be installed, in order, and forgets them.
// All that concern a lockspace which this node has open are there, none skipped.
func (m *Member) Views() []SpaceView {
	v := m.views
	m.views = nil
	return v
}

// Answers gives the outcomes of Ask that have come, and forgets them. The views
// that come of a command are among Views by then.
func (m *Member) Answers() []Answer {
	a := m.done
	m.done = nil
	return a
}

// Ask asks the cluster for Open, Close, NewView, Leave, Remove or Promote; Instance, From
// and Req are filled in. The answer bears the number returned. Commands are
// carried out one after the other, each once, however often they travel.
func (m *Member) Ask(now int64, c Command) (uint64, Output, error) {
	m.begin(now)
	switch {
	case m.phase != Active:
		return 0, m.out, fmt.Errorf("%w: %w", ErrMember, m.reason)
	case len(m.asks) >= maxPending:
		return 0, m.out, fmt.Errorf("%w: %d commands wait", ErrLimit, len(m.asks))
	}
	c.Instance, c.From, c.Req = m.instance, m.instance, m.req+1
	body := c.Append(nil)
	if d, err := DecodeCommand(body); err != nil || !d.askedBy(&message{instance: m.instance, seq: c.Req}) {
		return 0, m.out, fmt.Errorf("%w: %s", ErrInvalid, c.Kind)
	}
	m.req++
	m.asks = append(m.asks, pending{m.req, body})
	if len(m.asks) == 1 {
		m.askNow()
	}
	return m.req, m.out, nil
}

// Tick tells the time: some times in each ServerConfig.Tick and
// MemberConfig.Retry, and as soon as the process may have been stopped.
func (m *Member) Tick(now int64) Output {
	m.begin(now)
	if m.phase == Ended {
		return m.out
	}
	m.checkLease()
	if m.phase == Ended {
		return m.out
	}
	if now >= m.retryAt {
		m.target++ // who was asked does not answer
		m.lead = Contact{}
		m.retry()
		if len(m.asks) > 0 {
			m.askNow()
		}
		if m.joined() {
			m.renew()
		}
	} else if m.joined() && now >= m.renewAt {
		m.renew()
	}
	return m.out
}

func (m *Member) begin(now int64) {
	m.now, m.out = max(m.now, now), Output{}
}

// joined says that the cluster has let this node in.
func (m *Member) joined() bool { return len(m.asks) == 0 || m.asks[0].req != 0 }

func (m *Member) retry() { m.retryAt, m.hints = m.now+m.cfg.Retry, 0 }

// checkLease fences this node when the lease has ended.
func (m *Member) checkLease() {
	if m.until != 0 && m.now >= m.until && m.cfg.Without&RuleSelfFence == 0 {
		m.end(fmt.Errorf("%w for %d ms", ErrNoQuorum, (m.now-m.since)/1e6))
	}
}

// end ends the membership.
func (m *Member) end(reason error) {
	m.phase, m.reason = Ended, reason
	m.answerLate()
	for _, p := range m.asks {
		m.done = append(m.done, Answer{p.req, reason})
	}
	m.asks = nil
}

// contact gives who is asked: the leader, a voter, or whom the configuration names.
func (m *Member) contact() Contact {
	if m.lead != (Contact{}) {
		return m.lead
	}
	if m.state != nil && len(m.state.Voters) > 0 {
		v := m.state.Voters[m.target%len(m.state.Voters)]
		return Contact{v.ID, v.Addr}
	}
	return m.cfg.Contacts[m.target%len(m.cfg.Contacts)]
}

func (m *Member) send(msg *message) {
	c := m.contact()
	msg.cluster, msg.instance = m.cluster, m.instance
	m.out.Messages = append(m.out.Messages, Message{To: c.ID, Addr: c.Addr, Payload: msg.append(nil)})
}

// renew sends a renewal, and notes when: the lease counts from here.
func (m *Member) renew() {
	m.seq++
	m.sent[m.seq%uint64(len(m.sent))] = sentRenewal{m.seq, m.now}
	version := uint64(0)
	m.renewAt = m.now + m.cfg.Retry
	if m.state != nil {
		version = m.state.Version
		m.renewAt = m.now + m.state.Terms.renewal()
	}
	m.send(&message{kind: msgRenew, seq: m.seq, version: version})
	m.retryAt = min(m.retryAt, m.now+m.cfg.Retry)
	if m.retryAt <= m.now {
		m.retry()
	}
}

// askNow sends the first command; the others wait for its answer.
func (m *Member) askNow() {
	p := m.asks[0]
	m.send(&message{kind: msgAsk, seq: p.req, body: p.body})
	m.retry()
}

// Deliver takes a message of this package. payload is not kept; what is wrong
// with it, or not for this instance, is dropped.
func (m *Member) Deliver(now int64, payload []byte) Output {
	m.begin(now)
	msg, err := decodeMessage(payload)
	if err != nil || m.phase == Ended || msg.instance != m.instance || m.cluster != 0 && msg.cluster != m.cluster {
		return m.out
	}
	switch m.checkLease(); {
	case m.phase == Ended:
	case msg.kind == msgAnswer:
		m.onAnswer(msg)
	case msg.kind == msgRenewed:
		m.onRenewed(msg)
	case msg.kind == msgEvents && m.state != nil:
		m.onEvents(msg.version, msg.events)
	}
	return m.out
}

// answerLate gives the answers whose outcome this member has applied: whoever has
// opened a lockspace is told so together with its view.
func (m *Member) answerLate() {
	for len(m.late) > 0 && (m.phase == Ended || m.late[0].version <= m.state.Version) {
		m.done = append(m.done, m.late[0].Answer)
		m.late = m.late[1:]
	}
}

// hint notes who leads. It says whether there is another one to ask now.
func (m *Member) hint(msg *message) bool {
	c := Contact{msg.leader, msg.addr}
	if msg.leader == 0 || c == m.lead {
		return false
	}
	m.lead = c
	m.hints++
	return m.hints <= 2
}

// Refer answers a question that only a voter can answer, on a node that has no
// Server, with who leads as far as this member knows. from and addr are as in
// Server.Deliver.
func (m *Member) Refer(now int64, from uint16, addr string, payload []byte) Output {
	m.begin(now)
	q, err := decodeMessage(payload)
	if err != nil || q.kind != msgRenew && q.kind != msgAsk || m.cluster == 0 || q.cluster != 0 && q.cluster != m.cluster {
		return m.out
	}
	c := m.contact()
	a := &message{kind: msgAnswer, cluster: m.cluster, instance: q.instance, seq: q.seq, status: statusNotLeader, leader: c.ID, addr: c.Addr}
	if q.kind == msgRenew {
		a.kind = msgRenewed
	}
	m.out.Messages = append(m.out.Messages, Message{To: from, Addr: addr, Payload: a.append(nil)})
	return m.out
}

// onAnswer takes the outcome of a command.
func (m *Member) onAnswer(msg *message) {
	if len(m.asks) == 0 || msg.seq != m.asks[0].req {
		return
	}
	known := m.hint(msg)
	switch join := m.asks[0].req == 0; {
	case msg.status == statusNotLeader:
		if known {
			m.askNow()
		}
		return
	case join && msg.status == statusBusy:
		m.reason = fmt.Errorf("%w by an earlier start, or another node %d: waiting for its lease to end", ErrBusy, NodeOf(m.instance))
		return // asked again later
	case join && msg.status != StatusOK:
		m.end(msg.status.Err())
		return
	case join:
		m.reason, m.cluster = nil, msg.cluster
		if NodeOf(m.instance) == 0 {
			m.instance |= uint64(msg.id)
		}
	default:
		m.late = append(m.late, lateAnswer{Answer{msg.seq, msg.status.Err()}, msg.version})
		if m.answerLate(); len(m.late) > 0 {
			m.renew() // brings what has come of it
		}
	}
	m.asks = slices.Delete(m.asks, 0, 1)
	if msg.seq == 0 {
		m.renew()
	}
	if len(m.asks) > 0 {
		m.askNow()
	}
}

// onRenewed takes the answer to a renewal: the lease counts from its sending.
func (m *Member) onRenewed(msg *message) {
	s := m.sent[msg.seq%uint64(len(m.sent))]
	if s.seq != msg.seq || s.at == 0 {
		return
	}
	known := m.hint(msg)
	switch {
	case msg.status == statusNotLeader:
		if known {
			m.renew()
		}
		return
	case msg.status != StatusOK:
		m.end(fmt.Errorf("removed: %w", msg.status.Err()))
		return
	}
	if len(m.asks) == 0 {
		m.retryAt = m.renewAt + m.cfg.Retry
	}
	if len(msg.body) > 0 && m.state == nil {
		state, err := DecodeState(msg.body)
		if err != nil {
			return
		}
		m.state = state
		m.phase = Active
	}
	if m.state == nil {
		return
	}
	at := s.at
	if m.cfg.Without&RuleFromSending != 0 {
		at = m.now
	}
	if until := at + m.state.Terms.held(m.cfg.Without); until > m.until {
		m.until, m.since = until, at
	}
	m.renewAt = s.at + m.state.Terms.renewal()
	m.onEvents(msg.version, msg.events)
	m.checkLease()
}

// onEvents applies what has been decided, from version on.
func (m *Member) onEvents(version uint64, events [][]byte) {
	if m.phase == Ended {
		return
	}
	if version > m.state.Version {
		m.renew() // some are lost; the answer brings them
		return
	}
	for i, e := range events {
		if version+uint64(i) == m.state.Version && m.phase != Ended {
			m.apply(e)
		}
	}
	m.answerLate()
}

// apply carries out a command, and notes the views that it makes.
func (m *Member) apply(event []byte) {
	c, err := DecodeCommand(event)
	if err != nil { // who cannot follow must not go on with older views
		m.end(fmt.Errorf("a decision of a newer version of lockify: %w", err))
		return
	}
	m.state.apply(c, m.cfg.Without)
	if m.cfg.Applied != nil {
		m.cfg.Applied(m.state)
	}
	n := m.state.Member(m.instance)
	if n == nil || n.Removing {
		m.end(fmt.Errorf("%w: %s", ErrMember, c.Kind))
		return
	}
	m.views = append(m.views, m.state.Views(m.instance)...)
}
