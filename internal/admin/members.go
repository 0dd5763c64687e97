package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/internal/node"
)

// Members is the answer to /v1/members: what is agreed, as far as the node knows.
type Members struct {
	Cluster string   `json:"cluster"`
	Number  ID       `json:"number"`   // of the cluster; 0: membership is fixed
	Version uint64   `json:"version"`  // decisions that have changed something
	LeaseMS float64  `json:"lease_ms"` // how long a member may act without renewing
	Leader  uint16   `json:"leader"`   // node id, 0: not known here
	Waits   string   `json:"waits"`    // why the node is no member, "": it is
	Members []Member `json:"members"`  // by id
}

// Member is a node that is a member, or has a vote.
type Member struct {
	Node       uint16 `json:"node"`
	State      string `json:"state"`    // member, leaving (an operator has removed it), down (it has a vote only, or one that counts for a moment more), fencing (its end waits until it is kept from the disks; only the leader knows)
	Vote       bool   `json:"vote"`     // agreed
	Voting     bool   `json:"voting"`   // its vote counts by now, as a node with a vote knows
	CanVote    bool   `json:"can_vote"` // it has a data directory
	Addr       string `json:"addr"`
	Instance   ID     `json:"instance"` // 0: it is no member
	Link       string `json:"link"`     // from the node that answers: self, up, down, failed
	Lockspaces int    `json:"lockspaces"`
	Fence      string `json:"fence,omitempty"` // state fencing: why it has failed so far
}

// Change is what is posted to /v1/members.
type Change struct {
	Op   string `json:"op"`   // remove, promote, leave
	Node uint16 `json:"node"` // leave: the node that is asked, or 0
}

// maxChange bounds a Change in bytes; changeTime is how long it may take.
const (
	maxChange  = 4 << 10
	changeTime = 20 * time.Second
)

// members answers /v1/members.
func (s *Server) members(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.membership())
}

func (s *Server) membership() Members {
	n := s.node()
	links := map[uint16]string{n.ID(): "self"}
	st := n.Stats()
	for id, p := range st.Links {
		links[id] = linkOf(id, &p).State
	}
	out := Members{Cluster: s.cluster, Waits: s.noMember(n), Members: []Member{}}
	provider := n.Membership()
	if provider == nil {
		for id, link := range links {
			out.Members = append(out.Members, Member{Node: id, State: "member", Link: link, Lockspaces: len(st.Spaces)})
		}
		slices.SortFunc(out.Members, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
		return out
	}
	state := provider.State()
	if state == nil {
		return out
	}
	out.Number, out.Version, out.LeaseMS = ID(state.Cluster), state.Version, float64(state.Terms.Lease)/1e6
	var voting []uint16
	if s.raft != nil {
		out.Leader, voting = s.raft()
	}
	out.Members = membersOf(state, links)
	out.Members = append(out.Members, stillVoting(out.Members, voting)...)
	slices.SortFunc(out.Members, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	var bars map[uint64]string
	if s.bars != nil {
		bars = s.bars()
	}
	for i := range out.Members {
		m := &out.Members[i]
		m.Voting = slices.Contains(voting, m.Node)
		if why, ok := bars[uint64(m.Instance)]; ok {
			m.State, m.Fence = "fencing", why
		}
	}
	return out
}

func membersOf(state *cluster.State, links map[uint16]string) []Member {
	var out []Member
	for i := range state.Nodes {
		m := &state.Nodes[i]
		open := 0
		for k := range state.Spaces {
			if _, joined := slices.BinarySearch(state.Spaces[k].Joined, m.ID); joined {
				open++
			}
		}
		how := "member"
		if m.Removing {
			how = "leaving"
		}
		out = append(out, Member{
			Node: m.ID, State: how, Vote: state.Voter(m.ID) != nil, CanVote: m.Raft != 0, Addr: m.Addr,
			Instance: ID(m.Instance), Link: cmp.Or(links[m.ID], "down"), Lockspaces: open,
		})
	}
	for _, v := range state.Voters {
		if state.Node(v.ID) == nil {
			out = append(out, Member{Node: v.ID, State: "down", Vote: true, CanVote: true, Addr: v.Addr, Link: "down"})
		}
	}
	return out
}

// stillVoting gives the nodes whose votes count until the others have taken them away,
// though they are agreed to be none of the members any more: of these, more than half must
// live, too.
func stillVoting(members []Member, voting []uint16) (out []Member) {
	for _, id := range voting {
		if !slices.ContainsFunc(members, func(m Member) bool { return m.Node == id }) {
			out = append(out, Member{Node: id, State: "down", CanVote: true, Link: "down"})
		}
	}
	return out
}

// change carries out what an administrator wants. The content type keeps web pages
// out: a browser asks before it posts this one to another site.
func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	c, err := decodeChange(http.MaxBytesReader(w, r.Body, maxChange))
	switch {
	case r.Header.Get("Content-Type") != "application/json":
		fail(w, http.StatusUnsupportedMediaType, "want the content type application/json")
		return
	case err != nil:
		fail(w, http.StatusBadRequest, "the body is no change of membership: "+err.Error())
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(changeTime + answerTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), changeTime)
	defer cancel()
	if err := s.carryOut(ctx, s.node(), c); err != nil {
		fail(w, statusOf(err), err.Error())
		return
	}
	writeJSON(w, http.StatusOK, c)
}

// decodeChange takes nothing that it does not understand: what is meant for another node
// must not be carried out for this one.
func decodeChange(body io.Reader) (c Change, err error) {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, err
	}
	if _, err := d.Token(); err != io.EOF {
		return c, errors.New("more follows it")
	}
	return c, nil
}

// errChange: a change that cannot be. The client says of whom it has heard that.
var errChange = errors.New("not done")

func (s *Server) carryOut(ctx context.Context, n *node.Node, c Change) error {
	p := n.Membership()
	switch {
	case p == nil:
		return fmt.Errorf("%w: membership is fixed here; to change it, end all nodes and start them with other peers", errChange)
	case p.State() == nil:
		return fmt.Errorf("%w: node %d has not joined the cluster yet", errChange, n.ID())
	case c.Node == 0 && (c.Op == "remove" || c.Op == "promote"):
		return fmt.Errorf("%w: %s without a node: want its id, 1 to 65535", errChange, c.Op)
	}
	switch c.Op {
	case "remove", "promote":
		kind := cluster.Remove
		if c.Op == "promote" {
			kind = cluster.Promote
		}
		return refusal(c, p.Do(ctx, cluster.Command{Kind: kind, ID: c.Node}))
	case "leave":
		if c.Node != 0 && c.Node != n.ID() {
			return fmt.Errorf("%w: this is node %d; ask node %d itself to leave, or remove it", errChange, n.ID(), c.Node)
		}
		if v := p.State().Voters; len(v) == 1 && v[0].ID == n.ID() {
			return fmt.Errorf("%w: node %d has the only vote, the cluster would end: promote another node first, or stop this one", errChange, n.ID())
		}
		s.leave()
		return nil
	}
	return fmt.Errorf("%w: op %q; there are remove, promote and leave", errChange, c.Op)
}

// refusal says of which node a change was refused, and why.
func refusal(c Change, err error) error {
	why := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cluster.ErrNoVote):
		why = ": it has no data directory, or all votes that there can be are given"
	case errors.Is(err, cluster.ErrLast):
		why = ": the cluster would end: promote another node first"
	}
	return fmt.Errorf("%s node %d: %w%s", c.Op, c.Node, err, why)
}

func statusOf(err error) int {
	switch {
	case errors.Is(err, errChange), errors.Is(err, cluster.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, cluster.ErrMember), errors.Is(err, cluster.ErrNoVote), errors.Is(err, cluster.ErrLast):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable // no quorum, or not in time
}
