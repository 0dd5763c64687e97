package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// unpack gives the files of a bundle.
func unpack(t *testing.T, name string) map[string][]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "lockify/")] = text
	}
}

// All is there, as the manifest says, and no secret is: neither of the settings, nor of
// the log, whatever shape it has.
func TestBundle(t *testing.T) {
	dir := t.TempDir()
	c := daemontest.NewJoined(t, 1, 10e9, "--fence-command", "ipmitool -P hunter2-fence power off")
	d := c.Nodes[0]
	open(t, d, "files")
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, []byte(`time=1 msg="an ordinary line" name=alpha
etcd https://root:hunter2-url@10.0.0.1:2379 password=hunter2-plain "secret": "hunter2 json"
--password hunter2-flag Authorization: Bearer hunter2-bearer
DHHC-1:00:hunter2AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:
-----BEGIN EC PRIVATE KEY-----
hunter2-key
-----END EC PRIVATE KEY-----
another ordinary line
-----BEGIN PRIVATE KEY-----
hunter2-cut
`), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "b.tar.gz")
	out, errs, status := d.Ctl(t, "debug", "bundle", file, "--seconds", "1", "--log", log, "--log", filepath.Join(dir, "none"))
	if status != 0 || !strings.Contains(out, "heap.pprof") {
		t.Fatalf("status %d, %s%s", status, out, errs)
	}
	files := unpack(t, file)
	var m manifest
	if err := json.Unmarshal(files["manifest.json"], &m); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		text := files[f.Name]
		if missing := f.Name == "log-2.txt"; missing != (f.Error != "") || missing != (len(text) == 0) {
			t.Errorf("%+v: %d bytes", f, len(text))
		} else if !missing && (len(text) != f.Bytes || fmt.Sprintf("%x", sha256.Sum256(text)) != f.SHA256) {
			t.Errorf("%+v is not what is there", f)
		}
	}
	if len(files) != len(m.Files) { // one is missing, and the manifest is not in itself
		t.Errorf("%d files, the manifest has %d", len(files), len(m.Files))
	}
	for name, text := range files {
		if bytes.Contains(text, []byte("hunter2")) {
			t.Errorf("%s has a secret in it", name)
		}
	}
	for name, want := range map[string]string{
		"config.json": "(hidden)", "metrics.txt": "lockify_", "events.json": "lockspace-open", "status.json": `"node": 1`,
		"members.json": `"leader": 1`, "log-1.txt": "another ordinary line", "goroutines.txt": "goroutine profile", "cpu.pprof": "\x1f\x8b", "heap.pprof": "\x1f\x8b",
	} {
		if !bytes.Contains(files[name], []byte(want)) {
			t.Errorf("%s is without %q: %.200q", name, want, files[name])
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, errs, status = d.Ctl(t, "debug", "bundle", file); status != exitUsage || !strings.Contains(errs, "is there already") {
		t.Errorf("again: status %d, %s", status, errs)
	}
}

// lockctl help exit-codes has all of them.
func TestExitCodes(t *testing.T) {
	var out, errs strings.Builder
	if status := run([]string{"help", "exit-codes"}, &out, &errs); status != 0 {
		t.Fatal(status, errs.String())
	}
	for status := range exitIncomplete + 1 {
		if !strings.Contains(out.String(), fmt.Sprintf("\n  %-6d ", status)) {
			t.Errorf("%d is missing in:\n%s", status, out.String())
		}
	}
}
