package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
	"github.com/lockify-dlm/lockify/internal/events"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// unstable are the parts of outputs that differ from run to run, with what
// stands for them in the golden files.
var unstable = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`instance 0x[0-9a-f]+`), "instance INSTANCE"},
	{regexp.MustCompile(`"instance": "0x[0-9a-f]+"`), `"instance": "INSTANCE"`},
	{regexp.MustCompile(`up \d[0-9hms]*`), "up TIME"},
	{regexp.MustCompile(`"(uptime_s|rtt_us|frames_in|frames_out|bytes_in|bytes_out|us|open_us|queued_bytes|age_s)": ?[0-9.e+-]+`), `"$1": N`},
	{regexp.MustCompile(`(?m)^(\d) +up +(\d+us|-) +\d+ +0 +0 +\d+ +\d+$`), "$1 up RTT QUEUED 0 0 IN OUT"},
	{regexp.MustCompile(`PEER +LINK +RTT +QUEUED +RESENT +RECONNECTS +FRAMES IN +OUT`), "PEER LINK RTT QUEUED RESENT RECONNECTS FRAMES IN OUT"},
}

// golden compares an output with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	for _, u := range unstable {
		got = u.re.ReplaceAllString(got, u.by)
	}
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := errors.Join(os.MkdirAll("testdata", 0o777), os.WriteFile(file, []byte(got), 0o666)); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant (%s):\n%s", got, file, want)
	}
}

// open gives a lockspace through a connection to d.
func open(t *testing.T, d *daemontest.Daemon, name string) *lockify.Lockspace {
	t.Helper()
	c, err := lockify.Dial(t.Context(), d.Client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := c.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func lock(t *testing.T, s *lockify.Lockspace, name string, mode lockify.Mode, opts ...lockify.Option) *lockify.Lock {
	t.Helper()
	l, err := s.Lock(t.Context(), name, mode, opts...)
	if err != nil {
		t.Fatalf("lock %s %v: %v", name, mode, err)
	}
	return l
}

// find waits until a node's view of a resource is as wanted.
func find(t *testing.T, d *daemontest.Daemon, space, name, what string, ok func(*admin.Resource) bool) {
	t.Helper()
	late := time.After(daemontest.Patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for {
		found := false
		_, err := d.Ask(t).Locks(t.Context(), space, 0, func(r *admin.Resource) error {
			found = found || string(r.Name) == name && ok(r)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if found {
			return
		}
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("node %d: waited in vain for %s", d.ID, what)
		}
	}
}

// scene makes a cluster with locks in all three queues of one resource, which
// node 1 masters, a resource whose name is no text, and in another lockspace
// one with byte ranges.
func scene(t *testing.T) []*daemontest.Daemon {
	t.Helper()
	nodes := daemontest.Cluster(t, 3, "--shards", "1", "--idle-after", "1h")
	one, two, three := open(t, nodes[0], "files"), open(t, nodes[1], "files"), open(t, nodes[2], "files")
	lock(t, one, "alpha", lockify.PR)
	second := lock(t, two, "alpha", lockify.PR)
	second.ConvertAsync(lockify.EX, func(error) {})
	find(t, nodes[0], "files", "alpha", "a conversion", func(r *admin.Resource) bool { return len(r.Convert) == 1 })
	three.LockAsync("alpha", lockify.CW, func(*lockify.Lock, error) {})
	find(t, nodes[0], "files", "alpha", "a request that waits", func(r *admin.Resource) bool { return len(r.Waiting) == 1 })
	l := lock(t, one, "b\x00\xff in", lockify.EX)
	if err := l.Convert(t.Context(), lockify.CR, lockify.WithValue([]byte("hi"))); err != nil {
		t.Fatal(err)
	}
	byteScene(t, nodes)
	return nodes
}

// byteScene locks byte ranges, through nodes 1 and 2, and has two owners wait.
func byteScene(t *testing.T, nodes []*daemontest.Daemon) {
	t.Helper()
	handle := func(d *daemontest.Daemon) *lockify.ByteRanges {
		r, err := open(t, d, "bytes").OpenByteRanges(t.Context(), "disk")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	one, two := handle(nodes[0]), handle(nodes[1])
	for _, err := range []error{
		one.Lock(t.Context(), 7, lockify.WriteRange, 0, 100),
		one.Lock(t.Context(), 7, lockify.ReadRange, 4096, 0),
		two.Lock(t.Context(), 8, lockify.ReadRange, 8192, 4096),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, w := range []struct {
		r     *lockify.ByteRanges
		owner lockify.OwnerID
		typ   lockify.RangeType
		start int64
	}{{two, 8, lockify.ReadRange, 50}, {one, 9, lockify.WriteRange, 8192}} {
		go func() { _ = w.r.Lock(t.Context(), w.owner, w.typ, w.start, 10) }()
		find(t, nodes[0], "bytes", "disk", "a byte range that is waited for", func(r *admin.Resource) bool { return len(r.Bytes) == 4+i })
	}
}

func TestShow(t *testing.T) {
	nodes := scene(t)
	for _, tc := range []struct {
		golden string
		node   int
		args   []string
	}{
		{"status.txt", 1, []string{"status"}},
		{"status.json", 1, []string{"status", "--json"}},
		{"lockspaces.txt", 1, []string{"lockspaces"}},
		{"lockspaces.json", 1, []string{"lockspaces", "--json"}},
		{"locks.txt", 1, []string{"locks", "files"}},
		{"locks-node2.txt", 2, []string{"locks", "files"}},
		{"locks.json", 1, []string{"locks", "files", "--json"}},
		{"locks-bytes.txt", 1, []string{"locks", "bytes"}},
		{"locks-bytes-node2.txt", 2, []string{"locks", "bytes"}},
		{"locks-bytes.json", 1, []string{"locks", "bytes", "--json"}},
		{"locks-limit.txt", 1, []string{"--admin", nodes[0].Admin, "locks", "--limit", "1", "files"}},
	} {
		t.Run(tc.golden, func(t *testing.T) {
			out, errs, status := nodes[tc.node-1].Ctl(t, tc.args...)
			if status != 0 || errs != "" {
				t.Fatalf("exit status %d, %s", status, errs)
			}
			golden(t, tc.golden, out)
		})
	}
	t.Run("names survive JSON", func(t *testing.T) {
		out, _, _ := nodes[0].Ctl(t, "locks", "files", "--json")
		var doc locksDocument
		if err := json.Unmarshal([]byte(out), &doc); err != nil {
			t.Fatal(err)
		}
		if len(doc.Resources) != 2 || string(doc.Resources[1].Name) != "b\x00\xff in" || string(doc.Lockspace) != "files" {
			t.Errorf("%+v", doc)
		}
	})
}

// An empty lockspace is no error, an unknown one is.
func TestShowNothing(t *testing.T) {
	d := daemontest.Cluster(t, 1)[0]
	open(t, d, "empty")
	if out, _, status := d.Ctl(t, "locks", "empty"); status != 0 || out != "no resources in lockspace empty on this node\n" {
		t.Errorf("status %d, %q", status, out)
	}
	if out, _, status := d.Ctl(t, "status"); status != 0 || !strings.Contains(out, "no other nodes") {
		t.Errorf("status %d, %q", status, out)
	}
	_, errs, status := d.Ctl(t, "locks", "other")
	if want := "lockctl: admin: the node answers with an error: lockspace other is not open on node 1\n"; status != exitError || errs != want {
		t.Errorf("status %d, %q", status, errs)
	}
}

// Wrong use: status 2 and one line that says what is wrong.
func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"", "which command? there are status, members, node, lockspaces, locks, why, dump, top, watch, debug, ranges, lock, purge, delegate, disk and tls; see lockctl --help"},
		{"statsu", `no command "statsu"; did you mean status?`},
		{"destroy", `no command "destroy"; there are status, members, node, lockspaces, locks, why, dump, top, watch, debug, ranges, lock, purge, delegate, disk and tls`},
		{"help statsu", `no command "statsu"; did you mean status?`},
		{"help node destroy", `no command "destroy" of lockctl node; see lockctl node --help`},
		{"completion foo", `no completion for "foo"; there are bash, fish, powershell and zsh`},
		{"completion", "of which shell? there are bash, fish, powershell and zsh"},
		{"watch --once", "--once shows what --recent says, and nothing without it: want --recent N as well"},
		{"status now", `argument "now" is one too many; see lockctl status --help`},
		{"status --jsn", "unknown flag: --jsn; see lockctl status --help"},
		{"status --admin 7541", `admin: bad address "7541": want host:port`},
		{"status --admin unix:///x", `admin: bad address "unix:///x": want host:port`},
		{"locks", "LOCKSPACE is missing; see lockctl locks --help"},
		{"locks x --limit 0", "--limit 0, want 1 to 100000"},
		{"lock", "LOCKSPACE is missing; see lockctl lock --help"},
		{"lock a", "NAME is missing; see lockctl lock --help"},
		{"lock a b c", `argument "c" is one too many; a command goes behind --`},
		{"lock a b --", "there is no command behind --"},
		{"lock a b --mode XX -- ls", `--mode "XX", want NL, CR, CW, PR, PW or EX`},
		{"lock a b --value v --mode PR", "--value needs --mode PW or EX, not PR"},
		{"lock a b --value 12345 --value-size 4", "--value has 5 bytes, at most 4 (--value-size)"},
		{"lock a b --on-lost panic", `--on-lost "panic", want kill or ignore`},
		{"lock a b --timeout -1s", "--timeout -1s, want more than 0; --no-wait does not wait"},
		{"watch --kind members,deadlocks", `--kind: no kind "deadlocks"; there are ` + strings.Join(events.Kinds, ", ")},
		{"lock a b --timeout 0s", "--timeout 0s, want more than 0; --no-wait does not wait"},
		{"lock a b --value-size 257", "--value-size 257, want 0 to 256"},
		{"lock a b --value-size -1", "--value-size -1, want 0 to 256"},
		{"lock a b --rule prefix:0", `--rule "prefix:0", want none, prefix:N with N from 1 to 63, first:C or last:C with a byte C`},
		{"lock a LONG", "NAME of 65 bytes, must be 1 to 64"},
		{"lock LONG b", "LOCKSPACE of 65 bytes, must be 1 to 64"},
		{"lock a EMPTY", "NAME of 0 bytes, must be 1 to 64"},
		{"locks EMPTY", "LOCKSPACE of 0 bytes, must be 1 to 64"},
		{"ranges LONG", "LOCKSPACE of 65 bytes, must be 1 to 64"},
		{"purge LONG --node 1", "LOCKSPACE of 65 bytes, must be 1 to 64"},
		{"purge a", "--node is missing: whose orphans?"},
		{"purge a --node 1 --session 0", "--session 0, want 1 or more; leave it out for all"},
		{"purge a --node 1 --value-size 999", "--value-size 999, want 0 to 256"},
		{"delegate a LONG --rule last:/", "KEY of 65 bytes, must be 1 to 64"},
		{"delegate a b/ --rule last:", `--rule "last:", want none, prefix:N with N from 1 to 63, first:C or last:C with a byte C`},
	} {
		var out, errs strings.Builder
		args := strings.Fields(tc.args)
		for i := range args {
			switch args[i] {
			case "LONG":
				args[i] = strings.Repeat("x", 65)
			case "EMPTY":
				args[i] = ""
			}
		}
		status := run(args, &out, &errs)
		if status != exitUsage || errs.String() != "lockctl: "+tc.want+"\n" || out.Len() > 0 {
			t.Errorf("%q: status %d, %q %q, want %q", tc.args, status, out.String(), errs.String(), tc.want)
		}
	}
}

// Each command explains itself with examples.
func TestHelp(t *testing.T) {
	for _, cmd := range []string{"", "status", "lockspaces", "locks", "lock"} {
		var out, errs strings.Builder
		if status := run(append(strings.Fields(cmd), "--help"), &out, &errs); status != 0 {
			t.Errorf("%s --help: status %d", cmd, status)
		}
		for _, want := range []string{"Usage:", "Examples:", "--json", "$LOCKIFY_ADMIN", "$LOCKIFY_ADDR"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s --help has no %s", cmd, want)
			}
		}
	}
}
