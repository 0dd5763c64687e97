package lockify

import (
	"fmt"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/lockspace"
)

var nameCounter int

// nameWithDirectory gives a new name whose directory is a given node of a
// cluster of nodes 1 to n.
func nameWithDirectory(t testing.TB, directory uint16, n int) string {
	t.Helper()
	var ids []uint16
	for i := range n {
		ids = append(ids, uint16(i+1))
	}
	members, err := cluster.Static(ids...)
	if err != nil {
		t.Fatal(err)
	}
	for {
		nameCounter++
		name := fmt.Sprintf("dir-%d", nameCounter)
		if members.Directory(lockspace.Hash([]byte(name))) == directory {
			return name
		}
	}
}

// TestWrongNew: two nodes take one name for new. Both are granted; the node
// whose word reaches the directory last, here the one with the long way, loses
// its lock and is told so.
func TestWrongNew(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 3, transport: "plain", delay: func(from, to int) time.Duration {
		if from == 1 && to == 2 {
			return 400 * time.Millisecond
		}
		return 0
	}})
	e := &env{ctx: testContext(t), nodes: nodes}
	client := dialNode(t, nodes[1], "unix", "plain")
	heard := make(chan Conflict, 9)
	tell := OnConflict(func(c Conflict) { heard <- c })
	far, err := client.Open(e.ctx, "test", tell)
	expect(t, "Open", err, nil)
	beside, err := nodes[1].Open(e.ctx, "test", tell)
	expect(t, "Open", err, nil)
	deaf, err := nodes[1].Open(e.ctx, "test", OnConflict(func(Conflict) { t.Error("a closed lockspace is told") }))
	expect(t, "Open", err, nil)
	expect(t, "Close", deaf.Close(e.ctx), nil)
	near := e.open(t, 0, "test")
	expect(t, "Barrier", near.Barrier(e.ctx), nil)

	var name string
	var winner, loser *Lock
	for range 10 {
		name = nameWithDirectory(t, 3, 3)
		loser, winner = e.must(t, far, name, EX, New()), e.must(t, near, name, EX, New())
		wait(t, e.ctx, "the winner's confirmation", winner.Confirmed())
		wait(t, e.ctx, "the end of waiting for the loser's", loser.Confirmed())
		if !isClosed(winner.Lost()) {
			break
		}
		e.unlock(t, loser) // this machine was slower than the long way
	}
	if isClosed(winner.Lost()) {
		t.Fatal("both have lost, or ten times the wrong one")
	}
	wait(t, e.ctx, "the loss", loser.Lost())
	told := map[*Lockspace]Conflict{}
	for range 2 {
		select {
		case c := <-heard:
			told[c.Space] = c
		case <-e.ctx.Done():
			t.Fatal("nobody is told")
		}
	}
	for _, s := range []*Lockspace{far, beside} {
		if want := (Conflict{s, name, 1}); told[s] != want {
			t.Errorf("told %+v, want %+v", told[s], want)
		}
	}
	expect(t, "Convert", loser.Convert(e.ctx, NL), ErrLost)
	expect(t, "Unlock", loser.Unlock(e.ctx), ErrLost)
	_, err = far.TryLock(e.ctx, name, EX)
	expect(t, "TryLock by the loser", err, ErrWouldBlock)
	lost := uint64(0)
	for _, sp := range nodes[1].Stats().Spaces {
		for _, sh := range sp.Shards {
			lost += sh.ClaimsLost
		}
	}
	if lost != 1 {
		t.Fatalf("%d claims lost", lost)
	}
	e.unlock(t, winner)
	e.unlock(t, e.must(t, far, name, EX))
}

// TestLostDuringConvert: a conversion that waits for the outcome of a wrong
// claim fails, and the lock is lost also for a client behind a socket.
func TestLostDuringConvert(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 3, transport: "plain", delay: func(from, to int) time.Duration {
		if from == 1 && to == 2 || from == 1 && to == 0 {
			return 400 * time.Millisecond
		}
		return 0
	}})
	e := &env{ctx: testContext(t), nodes: nodes}
	near, space := e.open(t, 0, "test"), e.open(t, 1, "test")
	far, err := dialNode(t, nodes[1], "unix", "plain").Open(e.ctx, "test")
	expect(t, "Open", err, nil)
	for _, s := range []*Lockspace{far, space} {
		tries := 0
		for ; tries < 10 && !lostDuringConvert(t, e, s, near); tries++ {
		}
		if tries == 10 {
			t.Error("no claim has gone the long way")
		}
	}
}

// lostDuringConvert gives false if this machine was slower than the long way.
func lostDuringConvert(t *testing.T, e *env, far, near *Lockspace) bool {
	name := nameWithDirectory(t, 3, 3)
	loser := e.must(t, far, name, EX, New())
	winner := e.must(t, near, name, EX, New())
	until(t, e.ctx, "the adoption", func() bool {
		role := ""
		err := e.nodes[1].n.Space("test").Inspect(e.ctx, func(i lockspace.ResourceInfo) bool {
			if string(i.Name) == name {
				role = i.Role
			}
			return true
		})
		return err == nil && role == "adopting" || isClosed(loser.Confirmed())
	})
	if isClosed(loser.Confirmed()) && !isClosed(loser.Lost()) {
		e.unlock(t, loser)
		return false
	}
	expect(t, "Convert", loser.Convert(e.ctx, NL), ErrLost)
	wait(t, e.ctx, "the loss", loser.Lost())
	e.unlock(t, winner)
	return true
}

// TestTokensGrowAcrossClaims: the token of a name that is created stands above
// all that its creator can know of, whoever issued it: the name may have been
// in use before.
func TestTokensGrowAcrossClaims(t *testing.T) {
	nodes := startCluster(t, clusterOptions{nodes: 3, transport: "plain"})
	e := &env{ctx: testContext(t), nodes: nodes}
	var spaces []*Lockspace
	for i := range nodes {
		spaces = append(spaces, e.open(t, i, "test"))
	}
	lastParent, lastChild := uint64(0), uint64(0)
	for i := range 30 {
		s := spaces[i%3]
		parent := e.must(t, s, "parent", EX) // the creator knows what went before
		if parent.Token() <= lastParent {
			t.Fatalf("parent's token %d after %d", parent.Token(), lastParent)
		}
		child := e.must(t, s, nameWithDirectory(t, uint16((i+1)%3+1), 3), EX, New())
		if child.Token() <= max(parent.Token(), lastChild) {
			t.Fatalf("child's token %d, parent's %d, last child's %d", child.Token(), parent.Token(), lastChild)
		}
		lastParent, lastChild = parent.Token(), child.Token()
		e.unlock(t, child)
		e.unlock(t, parent)
	}
	for _, s := range spaces { // a node that closes waits for its open claims
		expect(t, "Barrier", s.Barrier(e.ctx), nil)
	}
}
