package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/lockify-dlm/lockify/cluster"
)

func open(t *testing.T, path string, o Options) *Store {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func entry(index, term uint64, data string) *pb.Entry {
	return &pb.Entry{Index: new(index), Term: new(term), Data: []byte(data), Type: pb.EntryNormal.Enum()}
}

func hard(term, commit uint64) *pb.HardState {
	return &pb.HardState{Term: new(term), Vote: new(uint64(5)), Commit: new(commit)}
}

// found makes a store with the first voter of a cluster.
func found(t *testing.T, path string) *Store {
	t.Helper()
	s := open(t, path, Options{Node: 3, Cluster: 7})
	if !s.Empty() {
		t.Fatal("a new store is not empty")
	}
	b := cluster.Birth{Cluster: 7, Terms: cluster.DefaultTerms(), Want: 3, Store: s.Number(), Addr: "here"}
	if err := cluster.Found(s, b); err != nil {
		t.Fatal(err)
	}
	if err := s.Belongs(0, 7); err != nil {
		t.Fatal(err)
	}
	return s
}

// contents is what Raft would read.
func contents(t *testing.T, s *Store) string {
	t.Helper()
	hs, conf, err := s.InitialState()
	if err != nil {
		t.Fatal(err)
	}
	first, _ := s.FirstIndex()
	last, _ := s.LastIndex()
	var b strings.Builder
	fmt.Fprintf(&b, "term %d vote %d commit %d voters %x log %d:", hs.GetTerm(), hs.GetVote(), hs.GetCommit(), conf.GetVoters(), first)
	if last >= first {
		entries, err := s.Entries(first, last+1, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintf(&b, " %s/%d", e.GetData(), e.GetTerm())
		}
	}
	return b.String()
}

// TestReopen: what was saved is there again, numbers included; what a later
// leader has overwritten is not.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "store")
	s := found(t, path)
	voters := fmt.Sprintf("%x", []uint64{s.Number()})
	steps := []struct {
		save func() error
		want string
	}{
		{func() error { return nil }, "term 1 vote 0 commit 1 voters " + voters + " log 2:"},
		{func() error {
			return s.Save(hard(2, 2), []*pb.Entry{entry(2, 2, "a"), entry(3, 2, "b"), entry(4, 2, "c")}, nil)
		}, "term 2 vote 5 commit 2 voters " + voters + " log 2: a/2 b/2 c/2"},
		{func() error { return s.Save(hard(3, 2), []*pb.Entry{entry(3, 3, "B")}, nil) },
			"term 3 vote 5 commit 2 voters " + voters + " log 2: a/2 B/3"},
		{func() error { return s.Save(nil, []*pb.Entry{entry(4, 3, "C")}, nil) },
			"term 3 vote 5 commit 2 voters " + voters + " log 2: a/2 B/3 C/3"},
		{func() error {
			return s.Compact(&pb.Snapshot{Data: []byte("s"), Metadata: &pb.SnapshotMetadata{
				Index: new(uint64(3)), Term: new(uint64(3)), ConfState: &pb.ConfState{Voters: []uint64{9}},
			}}, 3)
		}, "term 3 vote 5 commit 3 voters [9] log 4: C/3"},
		{func() error {
			return s.Save(hard(4, 9), nil, &pb.Snapshot{Data: []byte("t"), Metadata: &pb.SnapshotMetadata{
				Index: new(uint64(9)), Term: new(uint64(4)), ConfState: &pb.ConfState{Voters: []uint64{8}},
			}})
		}, "term 4 vote 5 commit 9 voters [8] log 10:"},
	}
	number := s.Number()
	for i, step := range steps {
		if err := step.save(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if got := contents(t, s); got != step.want {
			t.Fatalf("step %d: %s, want %s", i, got, step.want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, path, Options{Node: 3, Cluster: 7})
		if got := contents(t, s); got != step.want {
			t.Fatalf("step %d, opened again: %s, want %s", i, got, step.want)
		}
		if s.Number() != number {
			t.Fatalf("the number became %x", s.Number())
		}
	}
}

// TestIdentity: a store learns its node and its cluster once.
func TestIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	s := open(t, path, Options{})
	if s.Number()&0xffff != 0 || s.Number() == 0 {
		t.Fatalf("number %x before the node is known", s.Number())
	}
	if err := s.Belongs(4, 7); err != nil {
		t.Fatal(err)
	}
	if err := s.Belongs(5, 0); !errors.Is(err, ErrForeign) {
		t.Fatalf("another node: %v", err)
	}
	if err := s.Belongs(0, 8); !errors.Is(err, ErrForeign) {
		t.Fatalf("another cluster: %v", err)
	}
	if err := s.SetMembers([]string{"a:1", "unix:///b"}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, Options{})
	if id, c := s.Node(); id != 4 || c != 7 || s.Number()&0xffff != 4 {
		t.Fatalf("node %d, cluster %d, number %x", id, c, s.Number())
	}
	if m := strings.Join(s.Members(), " "); m != "a:1 unix:///b" {
		t.Errorf("members at %s", m)
	}
}

// TestRefused: each error says what is wrong and what to do.
func TestRefused(t *testing.T) {
	flip := func(what []byte) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil || !bytes.Contains(b, what) {
				t.Fatalf("%q is not there, %v", what, err)
			}
			b = bytes.ReplaceAll(b, what, bytes.ToUpper(what))
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	change := func(do func(tx *bbolt.Tx) error) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			db, err := bbolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Update(do), db.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, path string)
		o     Options
		is    error
		text  string
	}{
		{"other node", nil, Options{Node: 4}, ErrForeign, "data directory of its own"},
		{"other cluster", nil, Options{Cluster: 8}, ErrForeign, "move it away"},
		{"locked", func(t *testing.T, path string) { open(t, path, Options{}) }, Options{Wait: time.Millisecond}, ErrLocked, "stop the other"},
		{"not a store", func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 65536), 0o600); err != nil {
				t.Fatal(err)
			}
		}, Options{}, ErrDamaged, "--join"},
		{"cut short", func(t *testing.T, path string) {
			if err := os.Truncate(path, 8192); err != nil {
				t.Fatal(err)
			}
		}, Options{}, ErrDamaged, "--join"},
		{"one page", func(t *testing.T, path string) {
			if err := os.Truncate(path, 4096); err != nil {
				t.Fatal(err)
			}
		}, Options{}, ErrDamaged, "--join"},
		{"a changed entry", flip([]byte("hello entry")), Options{}, ErrDamaged, "checksum"},
		{"an entry gone", change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketLog).Delete(bytes8(2)) }), Options{}, ErrDamaged, "entry 2 is missing"},
		{"the end gone", change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketLog).Delete(bytes8(3)) }), Options{}, ErrDamaged, "is committed"},
		{"a bucket gone", change(func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketState) }), Options{}, ErrDamaged, "missing"},
		{"number gone", change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyNumber) }), Options{}, ErrDamaged, "no number"},
		{"newer format", change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, bytes8(2)) }), Options{}, nil, "newer version"},
		{"short snapshot", change(func(tx *bbolt.Tx) error { return tx.Bucket(bucketSnapshot).Put(keyOnly, []byte{1}) }), Options{}, ErrDamaged, "too short"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "store")
			s := found(t, path)
			if err := s.Save(hard(2, 3), []*pb.Entry{entry(2, 2, "hello entry"), entry(3, 2, "end")}, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if c.spoil != nil {
				c.spoil(t, path)
			}
			got, err := Open(path, c.o)
			if err == nil {
				_ = got.Close()
				t.Fatal("opened")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), path) {
				t.Fatalf("%v; want %v, %q", err, c.is, c.text)
			}
		})
	}
}

// TestOpenSystem: a fault of the system is none of the file, which must not be moved away.
func TestOpenSystem(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(path string) error
		is   error
	}{
		{"a directory", func(path string) error { return os.Mkdir(path, 0o700) }, syscall.EISDIR},
		{"a circle of links", func(path string) error { return os.Symlink(path, path) }, syscall.ELOOP},
		{"a full disk", func(path string) error { return os.Symlink("/dev/full", path) }, syscall.ENOSPC},
	} {
		path := filepath.Join(t.TempDir(), "store")
		if err := c.make(path); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{Wait: 30 * time.Second})
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, c.is) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "keep the file") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestSavesAfterClose: a store that cannot store says so.
func TestSavesAfterClose(t *testing.T) {
	s := found(t, filepath.Join(t.TempDir(), "store"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s.Save(hard(2, 1), nil, nil) == nil || s.Belongs(3, 7) == nil || s.Compact(&pb.Snapshot{}, 0) == nil {
		t.Fatal("no error")
	}
}

const killedEnv = "LOCKIFY_STORE_TO_KILL"

// TestKilled: whatever a process that is killed has been told is stored, is.
func TestKilled(t *testing.T) {
	if path := os.Getenv(killedEnv); path != "" {
		saveForEver(path)
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	path := filepath.Join(t.TempDir(), "store")
	if err := found(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killedEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last, in := uint64(0), bufio.NewScanner(out)
		for n := 0; in.Scan(); n++ {
			if v, err := strconv.ParseUint(in.Text(), 10, 64); err == nil {
				last = v
			}
			if n == 20+round*7 {
				_ = cmd.Process.Kill() // the output goes on to its end
			}
		}
		_ = cmd.Wait() // killed
		s := open(t, path, Options{})
		hs, _, _ := s.InitialState()
		if got, _ := s.LastIndex(); got < last || hs.GetCommit() < last || last == 0 {
			t.Fatalf("round %d: stored to %d, commit %d; %d was acknowledged", round, got, hs.GetCommit(), last)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// saveForEver saves entries, with a snapshot now and then, and tells of each.
func saveForEver(path string) {
	s, err := Open(path, Options{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for {
		last, _ := s.LastIndex()
		last++
		if err := s.Save(hard(2, last), []*pb.Entry{entry(last, 2, "x")}, nil); err != nil {
			os.Exit(1)
		}
		if last%10 == 0 {
			snap := &pb.Snapshot{Data: []byte("s"), Metadata: &pb.SnapshotMetadata{Index: new(last), Term: new(uint64(2)), ConfState: &pb.ConfState{}}}
			if err := s.Compact(snap, last-5); err != nil {
				os.Exit(1)
			}
		}
		fmt.Println(last)
	}
}
