package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

// TestDiskSecrets makes secrets, and connects with them.
func TestDiskSecrets(t *testing.T) {
	const hostNQN = "nqn.2025-01.test.lockify:host"
	files, secrets := map[string]string{}, map[string]auth.Secret{}
	for name, hash := range map[string]string{"host": "sha256", "controller": "none", "other": "sha512"} {
		text, _ := lockctl(t, 0, "disk", "key", "--hash", hash)
		s, err := auth.ParseSecret(strings.TrimSpace(text))
		if err != nil {
			t.Fatal(err)
		}
		secrets[name], files[name] = s, filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := exportTo(t, "", core.SubsystemConfig{
		NQN: diskNQN, Secrets: map[string]core.Secrets{hostNQN: {Host: secrets["host"], Controller: secrets["controller"]}},
	})
	open := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(open, []byte(secrets["host"].Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o604); err != nil {
		t.Fatal(err)
	}
	connect := []string{"disk", "connect", addr, diskNQN, "--host-nqn", hostNQN}
	for _, tc := range []struct {
		status int
		says   string
		args   []string
	}{
		{0, "", append(connect, "--dhchap-secret-file", files["host"])},
		{0, "", append(connect, "--dhchap-secret-file", files["host"], "--dhchap-ctrl-secret-file", files["controller"])},
		{exitError, "needs the secret", connect},
		{exitError, "another secret", append(connect, "--dhchap-secret-file", files["other"])},
		{exitError, "the controller does not know", append(connect, "--dhchap-secret-file", files["host"], "--dhchap-ctrl-secret-file", files["other"])},
		{exitUsage, "no such file", append(connect, "--dhchap-secret-file", files["host"]+"x")},
		{exitUsage, "mode 0604", append(connect, "--dhchap-secret-file", open)},
		{exitUsage, "needs --host-nqn", []string{"disk", "connect", addr, diskNQN, "--dhchap-secret-file", files["host"]}},
		{exitUsage, "--hash md5", []string{"disk", "key", "--hash", "md5"}},
	} {
		_, errs := lockctl(t, tc.status, tc.args...)
		if !strings.Contains(errs, tc.says) {
			t.Errorf("%v: does not say %q: %s", tc.args, tc.says, errs)
		}
		if strings.Contains(errs, "DHHC") {
			t.Errorf("%v: the secret is in the error: %s", tc.args, errs)
		}
	}
}
