package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// clientCertificates makes a CA, node 1, and these clients.
func clientCertificates(t *testing.T, names ...string) string {
	t.Helper()
	dir := certificates(t, 1)
	for _, name := range names {
		out, err := exec.Command(daemontest.Bin("lockctl"), "tls", "client", name, "--dir", dir).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}

const rights = `
[[access]]
lockspaces   = ["*"]
certificates = ["reader"]
may          = "read"

[[access]]
lockspaces   = ["fil*", "other"]
certificates = ["sharer"]
may          = "shared"

[[access]]
lockspaces   = ["files"]
certificates = ["writer"]
may          = "exclusive"

[[access]]
lockspaces   = ["files"]
certificates = ["boss"]
may          = "administer"
`

// attempts are what clients try in a lockspace, and the least of them who may.
var attempts = []struct {
	what string
	by   string
	try  func(ctx context.Context, s *lockify.Lockspace) error
}{
	{"NL", "reader", locking(lockify.NL)},
	{"ask for bytes", "reader", func(ctx context.Context, s *lockify.Lockspace) error {
		b, err := s.OpenByteRanges(ctx, "bytes")
		if err == nil {
			_, _, err = b.Test(ctx, s.NewOwner(), lockify.WriteRange, 0, 1)
		}
		return err
	}},
	{"CR", "sharer", locking(lockify.CR)},
	{"PR", "sharer", locking(lockify.PR)},
	{"CR up to PR", "sharer", converting(lockify.CR, lockify.PR)},
	{"read bytes", "sharer", bytes(lockify.ReadRange)},
	{"NL up to EX", "writer", converting(lockify.NL, lockify.EX)},
	{"CW", "writer", locking(lockify.CW)},
	{"PW", "writer", locking(lockify.PW)},
	{"EX", "writer", locking(lockify.EX)},
	{"NL or else CW", "writer", locking(lockify.PR, lockify.AlternateCW())},
	{"a new PR", "writer", locking(lockify.PR, lockify.New())},
	{"a value", "writer", func(ctx context.Context, s *lockify.Lockspace) error {
		l, err := s.Lock(ctx, "value", lockify.EX)
		if err == nil {
			err = l.Unlock(ctx, lockify.WithValue([]byte("v")))
		}
		return err
	}},
	{"write bytes", "writer", bytes(lockify.WriteRange)},
	{"retire", "boss", func(ctx context.Context, s *lockify.Lockspace) error {
		l, err := s.Lock(ctx, "old", lockify.EX)
		if err == nil {
			err = l.Unlock(ctx, lockify.Retire())
		}
		if errors.Is(err, lockify.ErrDenied) && l != nil {
			err = errors.Join(err, l.Unlock(ctx)) // it is still held, and can be given up
		}
		return err
	}},
	{"purge", "boss", func(ctx context.Context, s *lockify.Lockspace) error { return s.Purge(ctx, 1, 0) }},
}

func locking(mode lockify.Mode, opts ...lockify.Option) func(context.Context, *lockify.Lockspace) error {
	return func(ctx context.Context, s *lockify.Lockspace) error {
		l, err := s.Lock(ctx, fmt.Sprint("name-", mode, len(opts)), mode, opts...)
		if err == nil {
			err = l.Unlock(ctx)
		}
		return err
	}
}

func converting(from, to lockify.Mode) func(context.Context, *lockify.Lockspace) error {
	return func(ctx context.Context, s *lockify.Lockspace) error {
		l, err := s.Lock(ctx, "converted", from)
		if err == nil {
			err = errors.Join(l.Convert(ctx, to), l.Unlock(ctx))
		}
		return err
	}
}

func bytes(kind lockify.RangeType) func(context.Context, *lockify.Lockspace) error {
	return func(ctx context.Context, s *lockify.Lockspace) error {
		b, err := s.OpenByteRanges(ctx, "bytes")
		if err != nil {
			return err
		}
		me := s.NewOwner()
		if err = b.Lock(ctx, me, kind, 0, 1); err == nil {
			err = b.Unlock(ctx, me, 0, 1)
		}
		return errors.Join(err, b.Close(ctx))
	}
}

// TestAccess: each client may do what rules give it, and no more; what is denied says who
// lacks which right where.
func TestAccess(t *testing.T) {
	who := []string{"stranger", "reader", "sharer", "writer", "boss"}
	dir := clientCertificates(t, who...)
	d := daemontest.Start(t, append(secured(t, dir, "node-1", 1, "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--new-cluster"), "--config", configFile(t, rights))...)
	for i, name := range who {
		c, err := lockify.Dial(t.Context(), d.Client, lockify.WithTLS(filesOf(dir, name)), lockify.OneSession())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, err := c.Open(t.Context(), "files")
		if name == "stranger" {
			if !errors.Is(err, lockify.ErrDenied) || !strings.Contains(err.Error(), `client "stranger" has no right in lockspace "files", this needs read: ask the administrator of node 1`) {
				t.Errorf("a stranger: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(name, err)
		}
		for _, a := range attempts {
			err := a.try(t.Context(), s)
			if may := i >= slices.Index(who, a.by); may != (err == nil) || !may && !errors.Is(err, lockify.ErrDenied) {
				t.Errorf("%s, %s: %v", name, a.what, err)
			}
		}
		if _, err := c.Open(t.Context(), "other"); (err == nil) != (name == "reader" || name == "sharer") {
			t.Errorf("%s in the lockspace of others: %v", name, err)
		}
	}
	d.Err.Await(t, 0, "permission denied", `client \"stranger\"`, "needs=read")
	args := []string{"--addr", d.Client, "--tls-ca", filesOf(dir, "reader").CA, "--tls-cert", filesOf(dir, "reader").Cert, "--tls-key", filesOf(dir, "reader").Key, "lock", "files", "x", "--", "true"}
	if _, stderr, status := d.Ctl(t, args...); status != 1 || !strings.Contains(stderr, `permission denied: client "reader" has the right read in lockspace "files", this needs exclusive`) {
		t.Errorf("lockctl: status %d, %s", status, stderr)
	}
}

// TestAccessUIDs: on a Unix socket the kernel says who a client is.
func TestAccessUIDs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	dir, err := os.MkdirTemp("", "lockify-access") // that others may enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctl := filepath.Join(dir, "lockctl")
	text, err := os.ReadFile(daemontest.Bin("lockctl"))
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(ctl, text, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	addr := "unix://" + filepath.Join(dir, "s.sock")
	d := daemontest.Start(t, "--id", "1", "--clients", addr, "--socket-mode", "0666", "--admin", "127.0.0.1:0", "--config", configFile(t, `
[[access]]
lockspaces = ["users"]
uids       = [4001]
may        = "exclusive"

[[access]]
lockspaces = ["groups"]
gids       = [4002, "root"]
may        = "exclusive"
`))
	cmd := exec.Command(ctl, "--admin", d.Admin, "node", "leave")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4001, Gid: 4001}}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "a process of uid 4001") {
		t.Errorf("uid 4001 changes the members: %v: %s", err, out)
	}
	for _, c := range []struct {
		what       string
		space      string
		uid        uint32
		gid, group uint32
		ok         bool
	}{
		{"by uid", "users", 4001, 4001, 4001, true},
		{"not by uid", "users", 4003, 4001, 4001, false},
		{"by its own group", "groups", 4003, 4002, 4003, true},
		{"by a further group", "groups", 4003, 4003, 4002, true},
		{"by no group", "groups", 4003, 4003, 4003, false},
		{"root", "anywhere", 0, 4003, 4003, true},
	} {
		cmd := exec.Command(ctl, "--addr", addr, "lock", c.space, "x", "--", "true")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.uid, Gid: c.gid, Groups: []uint32{c.group}}}
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.ok || !c.ok && !strings.Contains(string(out), fmt.Sprintf("permission denied: uid %d has no right", c.uid)) {
			t.Errorf("%s: %v: %s", c.what, err, out)
		}
	}
}

// TestAccessRefused: what is wrong with a rule is said before the node starts.
func TestAccessRefused(t *testing.T) {
	rule := func(lines ...string) string { return "id = 1\n[[access]]\n" + strings.Join(lines, "\n") + "\n" }
	spaces, who, may := `lockspaces = ["*"]`, `uids = [1]`, `may = "read"`
	for name, c := range map[string]struct{ file, want string }{
		"unknown key":   {rule(spaces, who, may, "uid = 1"), "FILE:6: access.uid: there is no such setting; did you mean uids?"},
		"no lockspaces": {rule(who, may), `FILE:2: access.lockspaces: missing; want lockspaces, may in each [[access]]`},
		"for nobody":    {rule(spaces, may), `FILE:2: access.certificates: the rule is for nobody; want certificates, uids, gids, or anyone = true`},
		"no right":      {rule(spaces, who), `FILE:2: access.may: missing; want`},
		"no such right": {rule(spaces, who, `may = "write"`), `FILE:5: access.may: got the string "write"; want read, shared, exclusive or administer`},
		"no such user":  {rule(spaces, `uids = ["nobody-of-this-name"]`, may), `FILE:4: access.uids: got "nobody-of-this-name", which this machine does not know; want an array`},
		"no array":      {rule(spaces, `gids = 5`, may), `FILE:4: access.gids: got 5; want an array of numbers and names of groups`},
		"no table":      {"id = 1\naccess = 3\n", `FILE:2: access: got 3; want tables that begin with [[access]]`},
		"mode":          {"id = 1\nsocket_mode = \"999\"\n", `FILE:2: socket_mode: got "999"; want an octal mode such as 0660`},
	} {
		file := configFile(t, c.file)
		var out, errs strings.Builder
		status := run([]string{"--check-config", "--config", file}, &out, &errs)
		if text := strings.ReplaceAll(errs.String(), file, "FILE"); status != exitConfig || !strings.Contains(text, c.want) {
			t.Errorf("%s: status %d, %s\nwant %s", name, status, text, c.want)
		}
	}
}
