package node

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/lockify-dlm/lockify/internal/access"
	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/wire"
)

// Limits bound what one client takes, so that the others do not notice. Beyond one a
// request is refused with an error that names the limit and its setting; what only gives
// something up is never refused. 0 stands for the default in package bounds.
type Limits struct {
	Sessions int // of all clients at the same time; max_sessions
	Each     int // of them of one client: a certificate, a uid, or an address; max_client_sessions
	Spaces   int // lockspaces of a session; max_client_lockspaces
	Locks    int // of a session; max_client_locks
	Waiting  int // requests of a session that have not been answered; max_client_waiting
	Queued   int // bytes for a session that its client has not read; then it ends; max_client_queued
	Rate     int // requests a second of a client, as above, with as many at once; max_client_rate, 0: any
}

func (l *Limits) setDefaults() {
	l.Sessions = cmp.Or(l.Sessions, bounds.Sessions.Default)
	l.Each = cmp.Or(l.Each, bounds.ClientSessions.Default)
	l.Spaces = cmp.Or(l.Spaces, bounds.ClientLockspaces.Default)
	l.Locks = cmp.Or(l.Locks, bounds.ClientLocks.Default)
	l.Waiting = cmp.Or(l.Waiting, bounds.ClientWaiting.Default)
	l.Queued = cmp.Or(l.Queued, bounds.ClientQueued.Default)
}

// helloTime is how long a connection may be there without a HELLO.
const helloTime = 10 * time.Second

// floodFactor times the rate ends a session: refusing costs, too.
const floodFactor = 10

// errFlood ends the session of a client that goes on after many refusals.
var errFlood = errors.New("node: the client sends too much")

// allowance is how fast a client may make requests, in all its sessions together: who comes back,
// or comes twice, has no more of it.
type allowance struct {
	requests *rate.Limiter
	others   *rate.Limiter // what is never refused, and makes the client wait beyond the rate
}

// whole says that it is as that of a client who has not been here.
func (a *allowance) whole(now time.Time) bool {
	full := float64(a.requests.Burst())
	return a.requests.TokensAt(now) >= full && a.others.TokensAt(now) >= full
}

// pace is how fast a session may make requests; nil: as it likes.
type pace struct {
	*allowance
	messages *rate.Limiter // beyond it this session ends, and not another one of the client
	text     string        // what is said beyond the allowance: a refusal must cost less than a request
	refused  int           // or beyond it, since the client was kept waiting
}

// maxRest is how long a client over its rate is kept waiting at once.
const maxRest = 100 * time.Millisecond

func (n *Node) newPace(c *access.Client) *pace {
	perSecond := n.cfg.Limits.Rate
	if perSecond == 0 {
		return nil
	}
	return &pace{
		allowance: n.allowanceOf(clientKey(c)),
		messages:  limiter(floodFactor * perSecond),
		text:      n.overText(perSecond, "requests a second", "max_client_rate"),
	}
}

func limiter(perSecond int) *rate.Limiter { return rate.NewLimiter(rate.Limit(perSecond), perSecond) }

// allowanceOf gives the allowance of a client.
func (n *Node) allowanceOf(key string) *allowance {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.allowances[key]
	if a == nil {
		a = &allowance{limiter(n.cfg.Limits.Rate), limiter(n.cfg.Limits.Rate)}
		n.allowances[key] = a
	}
	return a
}

// forgetAllowances forgets those of clients that are gone, when they have them whole again.
func (n *Node) forgetAllowances(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, a := range n.allowances {
		if n.perClient[key] == 0 && a.whole(now) {
			delete(n.allowances, key)
		}
	}
}

// rest is called when all that has come is answered. Who is over his rate is then not
// listened to for as long as what was refused would have taken: else refusing him would
// take the time of the others.
func (s *session) rest() {
	if s.pace == nil || s.pace.refused == 0 {
		return
	}
	d := time.Second * time.Duration(min(s.pace.refused, s.node.cfg.Limits.Rate)) / time.Duration(s.node.cfg.Limits.Rate)
	s.pace.refused = 0
	if s.conn.MayWait() {
		time.Sleep(min(d, maxRest))
	}
}

// overText says what a client is told that is over a limit of this node.
func (n *Node) overText(most int, of, setting string) string {
	return fmt.Sprintf("a client has at most %d %s (%s of node %d)", most, of, setting, n.cfg.ID)
}

// tooFast refuses a message that comes too soon, if it can be; an error: the client has
// not listened.
func (s *session) tooFast(space uint32, m *wire.Msg) (refused bool, err error) {
	n := s.node
	now := time.Now()
	if !s.pace.messages.AllowN(now, 1) {
		text := fmt.Sprintf("more than %d messages a second, %d times max_client_rate of node %d", floodFactor*n.cfg.Limits.Rate, floodFactor, n.cfg.ID)
		s.send(0, &wire.Msg{Type: wire.SessionLost, Status: wire.Limit, Text: []byte(text)})
		s.flush()
		return true, fmt.Errorf("%w: %s", errFlood, text)
	}
	switch m.Type {
	case wire.OpenSpace, wire.LockReq, wire.ConvertReq, wire.RangeReq, wire.DelegateReq, wire.ReturnReq, wire.PurgeReq, wire.BarrierReq:
	default:
		if !s.pace.others.AllowN(now, 1) {
			s.pace.refused++
		}
		return false, nil
	}
	if s.pace.requests.AllowN(now, 1) {
		return false, nil
	}
	s.pace.refused++
	text := s.pace.text
	switch m.Type {
	case wire.OpenSpace:
		s.send(0, &wire.Msg{Type: wire.SpaceOpened, Req: m.Req, Status: wire.Limit, Text: []byte(text)})
	case wire.RangeReq:
		s.failBytes(space, m, wire.Limit, text)
	case wire.BarrierReq:
		s.fail(0, m, wire.Limit, text)
	default:
		s.fail(space, m, wire.Limit, text)
	}
	return true, nil
}

// full says that the session may make no more requests now. mu is held.
func (s *session) full() bool {
	return s.waiting >= s.node.cfg.Limits.Waiting || s.node.links.Clogged()
}

// waits counts a request that will be answered, if the session may have one more. mu is
// held.
func (sp *sessionSpace) waits(limited bool) bool {
	s := sp.session
	if limited && s.full() {
		return false
	}
	sp.unanswered++
	s.waiting++
	return true
}

// answered is the end of it. mu is held.
func (sp *sessionSpace) answered() {
	if sp.unanswered > 0 { // else the client has closed the lockspace
		sp.unanswered--
		sp.session.waiting--
	}
}

// more is waits for what has no lock; it refuses m if it is one too many.
func (sp *sessionSpace) more(m *wire.Msg, limited bool) bool {
	s := sp.session
	s.mu.Lock()
	ok := sp.waits(limited)
	s.mu.Unlock()
	switch {
	case ok:
	case m.Type == wire.RangeReq:
		s.failBytes(sp.space.id, m, wire.Limit, s.tooMany())
	default:
		s.fail(sp.space.id, m, wire.Limit, s.tooMany())
	}
	return ok
}

// tooMany is why the session is full. Who has embedded the node waits for its links; a client
// has a connection that is read by the loop of others.
func (s *session) tooMany() string {
	if s.node.links.Clogged() {
		return fmt.Sprintf("node %d waits for other nodes that do not take what is queued for them; try again", s.node.cfg.ID)
	}
	return s.node.overText(s.node.cfg.Limits.Waiting, "requests waiting", "max_client_waiting")
}

// admit lets a session begin, or says why not.
func (n *Node) admit(s *session) (wire.Status, string) {
	key := clientKey(&s.client)
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &n.cfg.Limits
	switch {
	case n.closed:
		return wire.ShuttingDown, "shutting down"
	case len(n.sessions) >= l.Sessions:
		return wire.Limit, fmt.Sprintf("no more sessions: this node has at most %d (max_sessions of node %d)", l.Sessions, n.cfg.ID)
	case n.perClient[key] >= l.Each:
		return wire.Limit, "no more sessions: " + n.overText(l.Each, "sessions", "max_client_sessions")
	}
	n.nextSess++
	s.id = n.nextSess
	n.sessions[s] = struct{}{}
	n.perClient[key]++
	return wire.OK, ""
}

// hangUp forgets a session.
func (n *Node) hangUp(s *session) {
	key := clientKey(&s.client)
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.sessions[s]; !ok {
		return
	}
	delete(n.sessions, s)
	if n.perClient[key]--; n.perClient[key] == 0 {
		delete(n.perClient, key)
	}
}

// clientKey is what makes two sessions those of one client.
func clientKey(c *access.Client) string {
	switch {
	case c.Certificate != "" || c.Node != 0 || c.Local:
		return c.String()
	}
	return c.Host
}
