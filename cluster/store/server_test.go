package store

import (
	"path/filepath"
	"testing"

	"github.com/lockify-dlm/lockify/cluster"
)

// voter is a server on a file, and a member beside it.
type voter struct {
	t      *testing.T
	store  *Store
	server *cluster.Server
	member *cluster.Member
	now    int64
}

func (v *voter) start(path string, starts uint64) {
	v.t.Helper()
	v.store = open(v.t, path, Options{Node: 3, Cluster: 7})
	var err error
	v.server, err = cluster.NewServer(cluster.ServerConfig{Store: v.store.Number(), Tick: 10e6, Elections: 5}, v.store)
	if err != nil {
		v.t.Fatal(err)
	}
	v.member, err = cluster.NewMember(cluster.MemberConfig{
		Instance: starts<<16 | 3, Store: v.store.Number(), Addr: "here", Retry: 50e6, Contacts: []cluster.Contact{{ID: 3}},
	})
	if err != nil {
		v.t.Fatal(err)
	}
}

// run lets time pass until something is true.
func (v *voter) run(what string, until func() bool) {
	v.t.Helper()
	for end := v.now + 60e9; !until(); {
		if v.now += 10e6; v.now > end {
			_, err := v.member.Phase()
			v.t.Fatalf("a minute without: %s (%v)", what, err)
		}
		out, err := v.server.Tick(v.now)
		v.pass(out, err)
		v.pass(v.member.Tick(v.now), nil)
	}
}

func (v *voter) pass(out cluster.Output, err error) {
	v.t.Helper()
	for list := out.Messages; err == nil && len(list) > 0; list = list[1:] {
		if cluster.ForServer(list[0].Payload) {
			out, err = v.server.Deliver(v.now, 3, "", list[0].Payload)
		} else {
			out = v.member.Deliver(v.now, list[0].Payload)
		}
		list = append(list, out.Messages...)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// TestServerOnFile: a voter alone goes on where it was after each start; epochs
// and versions never fall, and a start waits for the lease of the one before.
func TestServerOnFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	if err := found(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	v := &voter{t: t}
	var version, epoch uint64
	for starts := uint64(1); starts <= 3; starts++ {
		v.start(path, starts)
		began := v.now
		v.run("membership", func() bool { return v.member.Valid(v.now) })
		if waited := v.now - began; starts > 1 && waited < cluster.DefaultTerms().Lease {
			t.Fatalf("start %d was let in after %d ms", starts, waited/1e6)
		}
		for range 200 {
			for _, kind := range []cluster.Kind{cluster.Open, cluster.Close} {
				_, out, err := v.member.Ask(v.now, cluster.Command{Kind: kind, Space: "s"})
				v.pass(out, err)
				v.run("answer", func() bool {
					a := v.member.Answers()
					if len(a) > 0 && a[0].Err != nil {
						t.Fatalf("%s: %v", kind, a[0].Err)
					}
					return len(a) > 0
				})
			}
		}
		s := v.member.State()
		if s.Version < version+400 || s.Epoch < epoch+400 {
			t.Fatalf("start %d: version %d, epoch %d, before %d, %d", starts, s.Version, s.Epoch, version, epoch)
		}
		version, epoch = s.Version, s.Epoch
		if err := v.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
