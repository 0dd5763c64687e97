package tools

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// database makes a database of vulnerabilities with one in what cmd/lockctl calls.
func database(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const modules = `[{"path":"github.com/spf13/cobra","vulns":[{"id":"GO-2026-0001","modified":"2026-01-01T00:00:00Z"}]}]`
	const ids = `{"schema_version":"1.3.1","id":"GO-2026-0001","modified":"2026-01-01T00:00:00Z","published":"2026-01-01T00:00:00Z","details":"made up by a test",
"affected":[{"package":{"name":"github.com/spf13/cobra","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}],
"ecosystem_specific":{"imports":[{"path":"github.com/spf13/cobra","symbols":["Command.ExecuteContext"]}]}}]}`
	for name, text := range map[string]string{
		"index/db.json": `{"modified":"2026-01-01T00:00:00Z"}`, "index/modules.json": modules, "index/vulns.json": "[]", "ID/GO-2026-0001.json": ids,
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + dir
}

// What is found fails, no database is said and does not.
func TestVulncheck(t *testing.T) {
	unreachable := filepath.Join(t.TempDir(), "go") // where the real one is depends on this machine's network
	const said = `govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev/index/modules.json.gz": dial tcp: lookup vuln.go.dev: no such host`
	if err := os.WriteFile(unreachable, []byte("#!/bin/sh\necho '"+said+"' >&2\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, env, want string
		good            bool
	}{
		{"a vulnerability", "GOVULNDB=" + database(t), "GO-2026-0001", false},
		{"no database", "GO=" + unreachable, "NOT DONE: govulncheck", true},
		{"a database that is none", "GOVULNDB=file:///nonexistent", "no such file", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command("./vulncheck.sh", "./cmd/lockctl")
			cmd.Env = append(os.Environ(), tc.env)
			out, err := cmd.CombinedOutput()
			if (err == nil) != tc.good || !strings.Contains(string(out), tc.want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
