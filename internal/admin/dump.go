package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/internal/node"
)

// DumpTrailer is the last line of the answer to /v1/dump, behind a Resource in each line.
// An answer without it was cut off.
type DumpTrailer struct {
	End       bool        `json:"end"`       // true
	Resources int         `json:"resources"` // lines before this one
	Nodes     []uint16    `json:"nodes"`     // whose resources these are
	Unreached []Unreached `json:"unreached"` // nodes whose resources are missing, or not all there
}

func (t DumpTrailer) ended() (bool, int) { return t.End, t.Resources }

// dump answers /v1/dump. Neither end has more than a page of the lockspace in memory, and
// no shard waits for whoever reads.
func (s *Server) dump(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for key := range q {
		if key != "lockspace" && key != "local" {
			fail(w, http.StatusBadRequest, fmt.Sprintf("parameter %q; there are lockspace and local", key))
			return
		}
	}
	local, err := strconv.ParseBool(cmp.Or(q.Get("local"), "false"))
	if err != nil || q.Get("lockspace") == "" {
		fail(w, http.StatusBadRequest, "parameters: lockspace, a name; local, true or false")
		return
	}
	n := s.node()
	if !s.member(w, n) {
		return
	}
	d := &dumper{
		node: n, space: q.Get("lockspace"), local: local, values: s.mayAdminister(r) == nil, enc: json.NewEncoder(w), to: http.NewResponseController(w),
		trailer: DumpTrailer{End: true, Nodes: []uint16{}, Unreached: []Unreached{}},
	}
	ids := []uint16{n.ID()}
	if !local {
		ids = append(ids, n.Others()...)
		slices.Sort(ids)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	for _, id := range ids {
		if err := d.dump(r.Context(), id); err != nil {
			return // nobody reads any more
		}
	}
	if len(d.trailer.Nodes)+len(d.trailer.Unreached) == 0 {
		s.notOpen(w, d.space, "any node")
		return
	}
	_ = d.enc.Encode(&d.trailer) // nobody to tell
}

type dumper struct {
	node    *node.Node
	space   string
	local   bool // what this node sees; else what each is master of
	values  bool // whoever asks may see values
	enc     *json.Encoder
	to      *http.ResponseController
	trailer DumpTrailer
}

// dump writes what a node has. An error is that of writing.
func (d *dumper) dump(ctx context.Context, id uint16) error {
	q := &node.Query{Kind: node.LookPage, Space: d.space}
	for {
		r, err := d.page(ctx, id, q)
		if err != nil {
			d.trailer.Unreached = append(d.trailer.Unreached, Unreached{Node: id, Error: err.Error()})
			return ctx.Err()
		}
		if r.Closed {
			return nil
		}
		// A connection that can't have a deadline has none.
		_ = d.to.SetWriteDeadline(time.Now().Add(answerTimeout))
		for i := range r.Resources {
			if role := r.Resources[i].Role; !d.local && role != "master" && role != "claimed" {
				continue
			}
			if err := d.enc.Encode(resourceOf(r.Now, &r.Resources[i], d.values)); err != nil {
				return err
			}
			d.trailer.Resources++
		}
		if q.At = r.Next; q.At == 0 {
			d.trailer.Nodes = append(d.trailer.Nodes, id)
			return nil
		}
	}
}

func (d *dumper) page(ctx context.Context, id uint16, q *node.Query) (*node.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, whyTime)
	defer cancel()
	return d.node.Look(ctx, id, q)
}
