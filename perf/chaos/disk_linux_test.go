package chaos

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// stage is a cluster of three daemons and a target, in four namespaces.
type stage struct {
	t    *testing.T
	net  *network
	dir  string
	disk string // address
}

// target is the number of the node that has the disk.
const target = 4

func newStage(t *testing.T) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	w, err := newNetwork(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return &stage{t: t, net: w, dir: t.TempDir(), disk: fmt.Sprintf("%s:4420", w.ip(target))}
}

// run starts a command in a node's namespace, until the test ends.
func (s *stage) run(n int, cmd *exec.Cmd) *daemontest.Output {
	s.t.Helper()
	out := daemontest.NewOutput()
	cmd.Stdout, cmd.Stderr = out, out
	wait, err := s.net.start(n, cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails if it has ended
		_ = wait()
		if s.t.Failed() {
			s.t.Logf("node %d, %s\n%s", n, strings.Join(cmd.Args, " "), out)
		}
	})
	return out
}

func (s *stage) daemon(n int, config string) *daemontest.Output {
	s.t.Helper()
	file := filepath.Join(s.dir, fmt.Sprintf("n%d.toml", n))
	config = fmt.Sprintf("id = %d\nadmin = \"127.0.0.1:7541\"\ntransport = \"plain\"\ndata = %q\nclients = [%q]\n%s",
		n, filepath.Join(s.dir, fmt.Sprint("data", n)), s.socket(n), config)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	out := s.run(n, exec.Command(daemontest.Bin("lockifyd"), "--config", file))
	out.Await(s.t, 0, "ready ")
	return out
}

func (s *stage) socket(n int) string {
	return "unix://" + filepath.Join(s.dir, fmt.Sprintf("n%d.sock", n))
}

// member starts a daemon of the cluster. Only the first one votes, so that nobody need wait
// until votes count.
func (s *stage) member(n int) *daemontest.Output {
	s.t.Helper()
	how := "new_cluster = true"
	if n > 1 {
		how = fmt.Sprintf("join = [\"%s:7540\"]", s.net.ip(1))
	}
	return s.daemon(n, fmt.Sprintf("listen = \"%s:7540\"\nallow_plaintext_network = true\nlease = \"2s\"\nvoters = 1\n%s\n[[fence_disk]]\naddr = %q\nnqn = %q\n", s.net.ip(n), how, s.disk, diskNQN))
}

// export starts the target.
func (s *stage) export() {
	s.t.Helper()
	s.daemon(target, fmt.Sprintf("[[export]]\nnqn = %q\nlisten = [%q]\nnamespaces = [\"memory:1MiB\"]\nany_host = true\n", diskNQN, s.disk))
}

// process is a writer.
type process struct {
	*daemontest.Output
	t    *testing.T
	in   io.WriteCloser
	seen int // lines that have been looked at
}

func (s *stage) writer(n int) *process {
	s.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CHAOS_WRITER="+s.socket(n), "CHAOS_DISK="+s.disk)
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	return &process{Output: s.run(n, cmd), t: s.t, in: in}
}

// writes has it write, and looks how that ends.
func (p *process) writes(want string) {
	p.t.Helper()
	p.seen = p.Lines()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		p.t.Fatal(err)
	}
	if got := p.Await(p.t, p.seen, "write: "); !strings.HasPrefix(got, "write: "+want) {
		p.t.Fatalf("%q, want %q", got, want)
	}
}

func (s *stage) cut(heal bool, n int, others ...int) {
	s.t.Helper()
	do := s.net.cut
	if heal {
		do = s.net.heal
	}
	for _, o := range others {
		if err := do(n, o); err != nil {
			s.t.Fatal(err)
		}
		if err := do(o, n); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestCutFromClusterNotFromDisk: a node that the others do not hear, and that reaches the
// disk, cannot write any more once its locks are somebody else's. When it has joined
// anew its new programs can; those of before never.
func TestCutFromClusterNotFromDisk(t *testing.T) {
	s := newStage(t)
	s.export()
	s.member(1)
	s.member(2)
	third := s.member(3)
	old := s.writer(3)
	old.Await(t, 0, "locked")
	old.writes("success, lock valid: true")

	s.cut(false, 3, 1, 2)
	next := s.writer(1)
	next.Await(t, 0, "locked")
	old.writes("reservation conflict, lock valid: false")
	next.writes("success")

	before := third.Lines()
	s.cut(true, 3, 1, 2)
	third.Await(t, before, "joined the cluster")
	old.writes("reservation conflict, lock valid: false")
	if err := next.in.Close(); err != nil { // it gives its lock up
		t.Fatal(err)
	}
	fresh := s.writer(3)
	fresh.Await(t, 0, "locked")
	fresh.writes("success, lock valid: true")
	old.writes("reservation conflict")
}

// TestFenceFails: while the disk does not answer, nobody gets the locks of a node that is
// gone; when it does, they do.
func TestFenceFails(t *testing.T) {
	s := newStage(t)
	s.export()
	first := s.member(1)
	s.member(2)
	s.member(3)
	old := s.writer(3)
	old.writes("success")
	s.cut(false, target, 1, 2) // the disk from the nodes that will have to fence
	s.cut(false, 3, 1, 2)
	first.Await(t, 0, "could not be kept from the disks")
	said := s.run(1, exec.Command(daemontest.Bin("lockctl"), "members", "--admin", "127.0.0.1:7541"))
	said.Await(t, 0, "fencing")
	said.Await(t, 0, "node 3 could not be kept from the disks")
	next := s.writer(1)
	first.Await(t, first.Lines(), "could not be kept from the disks") // again
	if strings.Contains(next.String(), "locked") {
		t.Fatal("a lock is given away whose holder can still write")
	}
	s.cut(true, target, 1, 2)
	next.Await(t, 0, "locked")
	next.writes("success")
	old.writes("reservation conflict")
}
