package admin

import (
	"context"
	"testing"

	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
)

// chatty is a node that asks another one, which says more than it is asked for.
type chatty struct{}

func (chatty) ID() uint16       { return 1 }
func (chatty) Others() []uint16 { return []uint16{2} }

func (chatty) Look(_ context.Context, _ uint16, q *node.Query) (*node.Report, error) {
	if q.Kind == node.LookName {
		return &node.Report{Resources: []lockspace.ResourceInfo{{Role: "master", Master: 1, Granted: []lockspace.LockInfo{
			{ID: 7, Node: 2, Granted: "EX", Session: 3},
		}, Waiting: []lockspace.LockInfo{{ID: 8, Node: 1, Granted: "--", Wanted: "PR", Session: 4}}}}}, nil
	}
	return &node.Report{
		Locks:   []node.LockReport{{ID: 99, Client: "stranger"}, {ID: 7, Client: "holder"}},
		Parties: []node.PartyReport{{Held: 1}, {Held: 2}, {Held: 3}},
	}, nil
}

// TestWhyOfChattyNode: what another node says beside what it was asked is left out.
func TestWhyOfChattyNode(t *testing.T) {
	w := explain(t.Context(), chatty{}, "space", "name")
	if len(w.doc.Names) != 1 || len(w.doc.Names[0].Locks) != 2 {
		t.Fatalf("%+v", w.doc)
	}
	if l := w.doc.Names[0].Locks[0]; l.Client != "holder" || l.Held != 1 {
		t.Errorf("%+v", l)
	}
	if l := w.doc.Names[0].Locks[1]; l.Client != "" || l.Known {
		t.Errorf("%+v", l)
	}
}
