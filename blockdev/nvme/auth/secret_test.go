package auth

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// TestSecretText reads and writes secrets of other origin: the example of the base
// specification, and what nvme gen-dhchap-key (nvme-cli 2.3) has printed.
func TestSecretText(t *testing.T) {
	for _, text := range []string{
		"DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:",
		"DHHC-1:03:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:",
		"DHHC-1:00:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAl7OaH:",
		"DHHC-1:01:z8xqwdRQBAHJvUYDZTGBC9AwdPpUiAXoRpmHd5rG48z+flQB:",
		"DHHC-1:02:3PAk8ABl6HDbBTxF1UZL5TpxVYxFyv0HqajBLl5YRcMrBZcLUP8TgCarFJ+H46uy7Til7Q==:",
		"DHHC-1:03:pjh6gB1DippSNWjhSPMXmociBlOtlxFxtAnXgFYXf6liwiI4YofmywmAYlUwygjonafcPGelyZhjoRKwwsM/bblBJdU=:",
	} {
		if got := secretOf(t, text).Text(); got != text {
			t.Errorf("%s comes back as %s", text, got)
		}
		if got := secretOf(t, strings.TrimSuffix(text, ":")).Text(); got != text {
			t.Errorf("%s without the last colon comes back as %s", text, got)
		}
	}
}

// TestTransformed: gen-dhchap-key prints the transformed key of the secret that it is
// given, here of the bytes 1, 2, 3 and so on, as many as the hash has.
func TestTransformed(t *testing.T) {
	raw := secretOf(t, "DHHC-1:00:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAl7OaH:")
	if got := string(raw.transformed(hostNQN)); got != string(raw.key) {
		t.Errorf("hash 0 makes %x of the key", got)
	}
	for _, text := range []string{
		"DHHC-1:01:z8xqwdRQBAHJvUYDZTGBC9AwdPpUiAXoRpmHd5rG48z+flQB:",
		"DHHC-1:02:3PAk8ABl6HDbBTxF1UZL5TpxVYxFyv0HqajBLl5YRcMrBZcLUP8TgCarFJ+H46uy7Til7Q==:",
		"DHHC-1:03:pjh6gB1DippSNWjhSPMXmociBlOtlxFxtAnXgFYXf6liwiI4YofmywmAYlUwygjonafcPGelyZhjoRKwwsM/bblBJdU=:",
	} {
		want := secretOf(t, text)
		key := make([]byte, want.hash.Size())
		for i := range key {
			key[i] = byte(i + 1)
		}
		if got := (Secret{hash: want.hash, key: key}).transformed(hostNQN); string(got) != string(want.key) {
			t.Errorf("%v: %x, want %x", want.hash, got, want.key)
		}
	}
}

func TestWrongSecrets(t *testing.T) {
	for text, says := range map[string]string{
		"": "want DHHC-1:", "ia6zGodOr4SEG0Zz": "want DHHC-1:", "DHHC-1:00": "want DHHC-1:", "DHHC-2:00:AA==:": "want DHHC-1:",
		"DHHC-1:04:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:":   "hash \"04\"",
		"DHHC-1:1:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:":    "hash \"1\"",
		"DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2*:":   "not base64",
		"DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2n:x:": "not base64",
		"DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6aQ2o:":   "checksum is wrong",
		"DHHC-1:00:ia6zGodOr4SEG0Zzaw398rpY0wqipUWj4jWjUh4HWUz6:":       "a key of 29 bytes",
		"DHHC-1:00::": "a key of 0 bytes",
	} {
		_, err := ParseSecret(text)
		if !errors.Is(err, ErrSecret) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", text, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "ia6z") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestNewSecret(t *testing.T) {
	for h, size := range map[nvme.AuthHash]int{0: 32, 1: 32, 2: 48, 3: 64} {
		a, err := NewSecret(h)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := NewSecret(h)
		if len(a.key) != size || a.hash != h || a.Text() == b.Text() {
			t.Errorf("hash %d: %d bytes, twice the same: %v", h, len(a.key), a.Text() == b.Text())
		}
	}
	if _, err := NewSecret(4); err == nil {
		t.Error("hash 4 is taken")
	}
}

// TestSecretIsHidden: what prints a configuration does not print secrets.
func TestSecretIsHidden(t *testing.T) {
	cfg := HostConfig{HostNQN: hostNQN, Secret: Secret{key: []byte("01234567890123456789012345678901")}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, cfg); strings.Contains(got, "0123") || strings.Contains(got, "30313233") || strings.Contains(got, "48 49 50") || strings.Contains(got, "0x30") {
			t.Errorf("%s: %s", verb, got)
		}
	}
	if got := fmt.Sprint(cfg.Secret, Secret{}); got != "secret of 32 bytes no secret" {
		t.Error(got)
	}
}
