package main

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/internal/secure"
)

// TestTLSDays: how long the certificates are good, without --days and with it.
func TestTLSDays(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		file string
		days time.Duration
		cut  bool // no longer than the CA's
	}{
		{[]string{"init"}, "ca.crt", 3650, false},
		{[]string{"node", "1"}, "node-1.crt", 365, false},
		{[]string{"client", "a"}, "a.crt", 365, false},
		{[]string{"client", "b", "--days", "30"}, "b.crt", 30, false},
		{[]string{"client", "c", "--days", "5000"}, "c.crt", 3650, true},
	} {
		args := append([]string{"tls"}, c.args...)
		var said strings.Builder
		if status := run(append(args, "--dir", dir), io.Discard, &said); status != 0 {
			t.Fatalf("%q: status %d, %s", args, status, said.String())
		}
		if cut := strings.Contains(said.String(), "ends with the CA at 2"); cut != c.cut || !cut && said.Len() > 0 {
			t.Errorf("%q says %q", args, said.String())
		}
		text, err := os.ReadFile(filepath.Join(dir, c.file))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if days := time.Until(cert.NotAfter).Round(24*time.Hour) / (24 * time.Hour); days != c.days {
			t.Errorf("%s is good for %d days, want %d", c.file, days, c.days)
		}
	}
}

// TestTLSHalfCA: where one of the CA's files is missing or wrong it is named; another CA would not help.
func TestTLSHalfCA(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(dir string) error
		want  string
	}{
		"no key":         {func(dir string) error { return os.Remove(dir + "/ca.key") }, "DIR/ca.crt is there, but DIR/ca.key is missing"},
		"no certificate": {func(dir string) error { return os.Remove(dir + "/ca.crt") }, "DIR/ca.key is there, but DIR/ca.crt is missing"},
		"neither":        {func(dir string) error { return errors.Join(os.Remove(dir+"/ca.crt"), os.Remove(dir+"/ca.key")) }, "DIR has no CA"},
		"no key in it":   {func(dir string) error { return os.WriteFile(dir+"/ca.key", []byte("?"), 0o600) }, "DIR/ca.crt, DIR/ca.key: the CA: want"},
		"a directory": {func(dir string) error {
			return errors.Join(os.Remove(dir+"/ca.crt"), os.Mkdir(dir+"/ca.crt", 0o700))
		}, "read DIR/ca.crt: is a directory"},
	} {
		r := &tlsRun{options: &options{stdout: io.Discard}, dir: t.TempDir(), cluster: "c", days: 1, caDays: 1}
		if err := r.init(); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(r.dir); err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(c.want, "DIR", r.dir)
		if err := r.node("1"); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
}

// TestTLSNothingHalf: of a certificate and a key that cannot both be written none stays, which the next
// try would find.
func TestTLSNothingHalf(t *testing.T) {
	r := &tlsRun{options: &options{stdout: io.Discard}, dir: t.TempDir()}
	if err := r.write(secure.Pair{}, "n.crt", "missing/n.key"); err == nil {
		t.Error("written where no directory is")
	}
	if left, err := os.ReadDir(r.dir); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

// TestTLSClusterName: a name that no node can have gets no CA.
func TestTLSClusterName(t *testing.T) {
	for n, good := range map[int]bool{0: false, 1: true, bounds.MaxClusterName: true, bounds.MaxClusterName + 1: false} {
		r := &tlsRun{options: &options{stdout: io.Discard}, dir: t.TempDir(), cluster: strings.Repeat("c", n), caDays: 1}
		if err := r.init(); (err == nil) != good {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
