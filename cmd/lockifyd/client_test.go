package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/lockspace"
)

// clientEnv makes the test binary a client process: the node's address.
const clientEnv = "LOCKIFY_TEST_CLIENT"

const testSpace = "test"

// clientProcess locks what it reads from its input, "NAME MODE" a line, and
// says "granted NAME". It never unlocks: the test kills it.
func clientProcess(addr string) int {
	ctx := context.Background()
	c, err := lockify.Dial(ctx, addr)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s, err := c.Open(ctx, testSpace)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("connected")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		name, modeName, _ := strings.Cut(lines.Text(), " ")
		mode, _ := lockspace.ParseMode(modeName)
		s.LockAsync(name, mode, func(_ *lockify.Lock, err error) {
			if err != nil {
				fmt.Println("failed", name, err)
				return
			}
			fmt.Println("granted", name)
		})
	}
	return 0
}

// clientOf runs a client process of d; ask sends it a line.
func clientOf(t *testing.T, d *daemontest.Daemon) (p *daemontest.Process, ask func(name, mode string)) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), clientEnv+"="+d.Client)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p = daemontest.Run(t, cmd)
	p.Out.Await(t, 0, "connected")
	return p, func(name, mode string) {
		t.Helper()
		if _, err := fmt.Fprintln(in, name, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// open gives the test's lockspace through a connection to d.
func open(t *testing.T, d *daemontest.Daemon) *lockify.Lockspace {
	t.Helper()
	c, err := lockify.Dial(t.Context(), d.Client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := c.Open(t.Context(), testSpace)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// lock takes a lock within the test's patience.
func lock(t *testing.T, s *lockify.Lockspace, name string, mode lockify.Mode, opts ...lockify.Option) *lockify.Lock {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	l, err := s.Lock(ctx, name, mode, opts...)
	if err != nil {
		t.Fatalf("lock %s %v: %v", name, mode, err)
	}
	return l
}

func unlock(t *testing.T, l *lockify.Lock) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	if err := l.Unlock(ctx); err != nil {
		t.Fatalf("unlock %s: %v", l.Name(), err)
	}
}

// queues counts locks of a name over all nodes' view of their own locks and of
// what they master, by node that owns them, as the master of the name sees it.
func masterView(t *testing.T, all []*daemontest.Daemon, name string) *admin.Resource {
	t.Helper()
	var found *admin.Resource
	for _, d := range all {
		_, err := d.Ask(t).Locks(t.Context(), testSpace, 0, func(r *admin.Resource) error {
			if string(r.Name) == name && r.Role == "master" {
				found = r
			}
			return nil
		})
		if err != nil {
			t.Fatalf("node %d: %v", d.ID, err)
		}
	}
	return found
}

// untilMaster waits until the master of a name is as wanted.
func untilMaster(t *testing.T, all []*daemontest.Daemon, name, what string, ok func(*admin.Resource) bool) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	late := time.After(daemontest.Patience)
	for {
		r := masterView(t, all, name)
		if r != nil && ok(r) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("waited in vain for %s: %+v", what, r)
		}
	}
}

// A client that is killed while it holds locks and waits for locks: what it
// held goes to others, what it waited for is withdrawn, everybody else goes
// on, and nothing is left behind.
func TestKilledClient(t *testing.T) {
	nodes := daemontest.Cluster(t, 3, "--idle-after", "50ms")
	one, two, three := open(t, nodes[0]), open(t, nodes[1]), open(t, nodes[2])

	var blockers []*lockify.Lock // the victim waits for these
	const names = 12             // so that every node masters some
	for i := range names {
		blockers = append(blockers, lock(t, []*lockify.Lockspace{one, two, three}[i%3], fmt.Sprintf("wanted-%d", i), lockify.PR))
	}
	victim, ask := clientOf(t, nodes[0])
	for i := range names {
		ask(fmt.Sprintf("held-%d", i), "EX")
		victim.Out.Await(t, 0, fmt.Sprintf("granted held-%d", i))
		ask(fmt.Sprintf("wanted-%d", i), "EX")
	}
	waits := func(r *admin.Resource) bool { return len(r.Waiting) == 1 && r.Waiting[0].Node == 1 }
	for i := range names {
		untilMaster(t, nodes, fmt.Sprintf("wanted-%d", i), "the victim's request", waits)
	}
	heirs := make(chan *lockify.Lock, names) // wait for what the victim holds, on two other nodes
	for i := range names {
		s := []*lockify.Lockspace{two, three}[i%2]
		s.LockAsync(fmt.Sprintf("held-%d", i), lockify.EX, func(l *lockify.Lock, err error) {
			if err != nil {
				t.Errorf("heir of held-%d: %v", i, err)
			}
			heirs <- l
		})
	}
	for i := range names {
		untilMaster(t, nodes, fmt.Sprintf("held-%d", i), "the heir's request", func(r *admin.Resource) bool { return len(r.Waiting) == 1 })
	}
	if len(heirs) > 0 {
		t.Fatal("an heir has its lock before the victim is dead")
	}

	victim.Signal(t, syscall.SIGKILL)
	victim.Wait(t)
	for range names {
		select {
		case l := <-heirs:
			if l == nil {
				t.FailNow()
			}
			unlock(t, l)
		case <-time.After(daemontest.Patience):
			t.Fatal("locks of a dead client are not passed on")
		}
	}
	for i := range names {
		name := fmt.Sprintf("wanted-%d", i)
		untilMaster(t, nodes, name, "the victim's request to go", func(r *admin.Resource) bool { return len(r.Waiting) == 0 })
		// Nobody is ahead of a reader now.
		unlock(t, lock(t, three, name, lockify.PR, lockify.NoQueue()))
	}
	for _, l := range blockers {
		unlock(t, l)
	}
	for _, d := range nodes {
		d.Until(t, "nothing left", func(st *admin.Status) bool {
			return st.Totals.Resources == 0 && st.Totals.Locks == 0 && st.Totals.Claims.Open == 0 && st.Totals.Held.Now == 0 && st.Sessions == 1
		})
	}
}
