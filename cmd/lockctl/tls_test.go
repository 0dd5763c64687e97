package main

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestTLSDays: how long the certificates are good, without --days and with it.
func TestTLSDays(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		file string
		days time.Duration
	}{
		{[]string{"init"}, "ca.crt", 3650},
		{[]string{"node", "1"}, "node-1.crt", 365},
		{[]string{"client", "a"}, "a.crt", 365},
		{[]string{"client", "b", "--days", "30"}, "b.crt", 30},
		{[]string{"client", "c", "--days", "5000"}, "c.crt", 3650}, // no longer than the CA's
	} {
		args := append([]string{"tls"}, c.args...)
		if status := run(append(args, "--dir", dir), io.Discard, os.Stderr); status != 0 {
			t.Fatalf("%q: status %d", args, status)
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
