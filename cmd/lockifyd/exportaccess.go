package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

// fileAccess takes what an [[export]] table says of who may connect, and how hosts
// authenticate themselves.
func (e *export) fileAccess(t map[string]any, bad badKey, list func(key, want string, take func(v string) error)) {
	list("hosts", "NQNs of hosts", func(v string) error { e.hosts = append(e.hosts, v); return nvme.CheckNQN(v) })
	if v := t["any_host"]; v != nil {
		text, ok := fileValue(kindBool, v)
		if !ok {
			bad("any_host", "got %s; want true or false", describe(v))
		}
		e.anyHost = text == "true"
	}
	list("dhchap_hashes", "sha256, sha384, sha512", func(v string) error {
		h, ok := nvme.ParseAuthHash(v)
		if !ok || slices.Contains(e.auth.Hashes, h) {
			return errors.New("which is no such hash, or there twice")
		}
		e.auth.Hashes = append(e.auth.Hashes, h)
		return nil
	})
	list("dhchap_groups", "ffdhe2048, ffdhe3072, ffdhe4096, ffdhe6144, ffdhe8192, null", func(v string) error {
		g, ok := nvme.ParseAuthGroup(v)
		if !ok || slices.Contains(e.auth.Groups, g) {
			return errors.New("which is no such group, or there twice")
		}
		e.auth.Groups = append(e.auth.Groups, g)
		return nil
	})
	ways := 0
	for _, given := range []bool{e.anyHost, t["hosts"] != nil, t["dhchap_secrets"] != nil} {
		if given {
			ways++
		}
	}
	if ways != 1 {
		bad("hosts", "want one of hosts, an array of the NQNs that may connect; dhchap_secrets, a file with NQNs and secrets; and any_host = true")
	}
	if v := t["dhchap_secrets"]; v != nil {
		name, ok := fileValue(kindString, v)
		var err error
		if !ok || name == "" {
			err = fmt.Errorf("got %s; want the name of a file", describe(v))
		} else {
			e.secrets, err = readSecrets(name)
		}
		if err != nil {
			bad("dhchap_secrets", "%v", err)
		}
		return
	}
	for _, key := range []string{"dhchap_hashes", "dhchap_groups"} {
		if t[key] != nil {
			bad(key, "without dhchap_secrets no host authenticates itself")
		}
	}
}

// readSecrets reads a file of secrets. A line has a host's NQN, its secret, and perhaps the
// controller's for that host; # begins a comment.
func readSecrets(name string) (map[string]core.Secrets, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s: all users of this machine may read or write it (mode %04o); want chmod o= of it, and new secrets", name, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxConfig {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxConfig)
	}
	all := map[string]core.Secrets{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			if err := addSecret(all, words); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, n, err)
			}
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no host is in it", name)
	}
	return all, nil
}

// addSecret takes the words of a line. Errors do not have secrets in them.
func addSecret(all map[string]core.Secrets, words []string) (err error) {
	if len(words) < 2 || len(words) > 3 {
		return fmt.Errorf("%d words; want a host's NQN, its secret, and perhaps the controller's", len(words))
	}
	var s core.Secrets
	if err = nvme.CheckNQN(words[0]); err != nil {
		return errors.New("the first word is no NQN of a host")
	}
	if _, twice := all[words[0]]; twice {
		return fmt.Errorf("host %s is there twice", words[0])
	}
	if s.Host, err = auth.ParseSecret(words[1]); err != nil {
		return fmt.Errorf("the host's secret: %w", err)
	}
	if len(words) == 3 {
		if s.Controller, err = auth.ParseSecret(words[2]); err != nil {
			return fmt.Errorf("the controller's secret: %w", err)
		}
	}
	all[words[0]] = s
	return nil
}
