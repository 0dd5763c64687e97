package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

const (
	oneHost   = "nqn.2026-01.example.host:a"
	oneSecret = "DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:"
)

func secretsFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secrets")
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestReadSecrets(t *testing.T) {
	all, err := readSecrets(secretsFile(t, "# ours\n\n"+oneHost+" "+oneSecret+" # a\n nqn.2026-01.example.host:b\t"+oneSecret+" "+oneSecret+"\n", 0o640))
	if err != nil {
		t.Fatal(err)
	}
	a, b := all[oneHost], all["nqn.2026-01.example.host:b"]
	if len(all) != 2 || a.Host.Text() != oneSecret || !a.Controller.IsZero() || b.Controller.Text() != oneSecret {
		t.Fatalf("%d hosts; %v, %v", len(all), a, b)
	}
	for text, says := range map[string]string{
		"":                             "no host is in it",
		oneHost:                        "secrets:1: 1 words",
		"\n" + oneHost + " a b c":      "secrets:2: 4 words",
		"host " + oneSecret:            "no NQN of a host",
		oneHost + " " + oneSecret[:30]: "secrets:1: the host's secret: nvme: this is no DH-HMAC-CHAP secret",
		oneHost + " " + oneSecret + " " + oneSecret[1:]: "the controller's secret",
		strings.Repeat(oneHost+" "+oneSecret+"\n", 2):   "secrets:2: host " + oneHost + " is there twice",
		strings.Repeat("# none\n", 1<<18):               "larger than",
	} {
		_, err := readSecrets(secretsFile(t, text, 0o600))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%.100q: %v, want %q", text, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "ia6z") {
			t.Errorf("a secret is in the error: %v", err)
		}
	}
	if _, err := readSecrets(secretsFile(t, oneHost+" "+oneSecret, 0o644)); err == nil || !strings.Contains(err.Error(), "mode 0644") {
		t.Errorf("a file that all may read: %v", err)
	}
}

func TestWrongAccess(t *testing.T) {
	good := "dhchap_secrets = \"" + secretsFile(t, oneHost+" "+oneSecret, 0o600) + "\"\n"
	for lines, want := range map[string]string{
		good + "any_host = true\n":                      "export.hosts: want one of hosts",
		good + "dhchap_hashes = [\"sha1\"]\n":           "export.dhchap_hashes: got \"sha1\", which is no such hash",
		good + "dhchap_groups = [\"null\", \"null\"]\n": "or there twice; want ffdhe2048",
		"dhchap_secrets = 7\n":                          "export.dhchap_secrets: got",
		"dhchap_secrets = \"/nowhere/at all\"\n":        "no such file",
		"any_host = true\ndhchap_groups = [\"null\"]\n": "export.dhchap_groups: without dhchap_secrets",
	} {
		file := configFile(t, strings.Replace(goodExport, "hosts      = [\""+oneHost+"\"]\n", lines, 1))
		var out strings.Builder
		if status := run([]string{"--config", file, "--check-config"}, &out, &out); status != exitConfig || !strings.Contains(out.String(), want) {
			t.Errorf("%s: status %d\n%s\nwant %s", lines, status, out.String(), want)
		}
	}
}

// TestExportWithSecrets: the daemon's exports take hosts that know their secrets only.
func TestExportWithSecrets(t *testing.T) {
	own, err := auth.NewSecret(nvme.AuthSHA512)
	if err != nil {
		t.Fatal(err)
	}
	addr := daemontest.FreeAddrs(t, 1)[0]
	file := configFile(t, `id = 1
clients = ["unix://`+t.TempDir()+`/s"]
admin = "off"
[[export]]
nqn            = "nqn.2026-01.example.lockify:disk"
listen         = ["`+addr+`"]
namespaces     = ["memory:1MiB"]
dhchap_secrets = "`+secretsFile(t, oneHost+" "+oneSecret+" "+own.Text(), 0o600)+`"
dhchap_hashes  = ["sha384"]
`)
	daemontest.Start(t, "--config", file)
	ctx, cancel := context.WithTimeout(t.Context(), daemontest.Patience)
	defer cancel()
	cfg := host.Config{Addr: addr, SubNQN: "nqn.2026-01.example.lockify:disk", HostNQN: oneHost, ControllerSecret: own}
	if cfg.Secret, err = auth.ParseSecret(oneSecret); err != nil {
		t.Fatal(err)
	}
	d, err := host.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	cfg.Secret = own
	if d, err = host.Open(ctx, cfg); err == nil {
		d.Close()
		t.Fatal("a host with another secret is let in")
	}
}
