package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestAccessReload: rules hold anew when their file changes, and by SIGHUP, also for who has
// a lockspace open; by a wrong file nothing changes.
func TestAccessReload(t *testing.T) {
	dir := clientCertificates(t, "writer")
	file := configFile(t, rights)
	d := daemontest.Start(t, append(secured(t, dir, "node-1", 1, "127.0.0.1:0", "--advertise", "127.0.0.1:9", "--new-cluster"), "--config", file)...)
	c, err := lockify.Dial(t.Context(), d.Client, lockify.WithTLS(filesOf(dir, "writer")), lockify.OneSession())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.Open(t.Context(), "files")
	if err != nil {
		t.Fatal(err)
	}
	held, err := s.Lock(t.Context(), "held", lockify.EX)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		fresh := filepath.Join(filepath.Dir(file), "fresh")
		if err := errors.Join(os.WriteFile(fresh, []byte(text), 0o600), os.Rename(fresh, file)); err != nil {
			t.Fatal(err)
		}
	}
	nobody := strings.ReplaceAll(rights, `"writer"`, `"somebody else"`)
	write(nobody)
	d.Err.Await(t, 0, "rules of access are reloaded", "rules=4")
	if _, err := s.Lock(t.Context(), "x", lockify.EX); !errors.Is(err, lockify.ErrDenied) || !strings.Contains(err.Error(), "has no right") {
		t.Errorf("by rules that do not name it any more: %v", err)
	}
	if err := held.Unlock(t.Context()); err != nil {
		t.Errorf("what is held cannot be given up: %v", err)
	}

	from := d.Err.Lines()
	write(rights)
	d.Signal(t, syscall.SIGHUP)
	d.Err.Await(t, from, "rules of access are reloaded")
	if err := locking(lockify.EX)(t.Context(), s); err != nil {
		t.Errorf("by rules that name it again: %v", err)
	}

	write(strings.ReplaceAll(rights, `"shared"`, `"share"`))
	line := d.Err.Await(t, 0, "rules of access are not reloaded, those before hold on", "access.may: got the string")
	if strings.Contains(line, "not started") || strings.Contains(line, `\n`) {
		t.Error(line)
	}
	if err := locking(lockify.EX)(t.Context(), s); err != nil {
		t.Errorf("behind a wrong file: %v", err)
	}
}
