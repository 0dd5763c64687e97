package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
)

// secretFile is a flag: the name of a file with a secret.
type secretFile struct {
	to   *auth.Secret
	name string
}

func (s *secretFile) String() string { return s.name }

func (*secretFile) Type() string { return "FILE" }

// maxSecretFile bounds the file in bytes.
const maxSecretFile = 4096

// Set reads the file.
func (s *secretFile) Set(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o007 != 0 && info.Mode().IsRegular() {
		return fmt.Errorf("%s: all users of this machine may read or write it (mode %04o): chmod o= it, and take a new secret", name, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
	if err != nil {
		return err
	}
	if *s.to, err = auth.ParseSecret(strings.TrimSpace(string(text))); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s.name = name
	return nil
}

func diskKeyCommand(d *disk) *cobra.Command {
	hash := nvme.AuthSHA256.String()
	cmd := &cobra.Command{
		Use: "key", Short: "Make a secret for authentication",
		Long: `key prints a new random secret for DH-HMAC-CHAP, as nvme gen-dhchap-key does: a host
and a target that both have it can prove that to each other. Each host should have its
own. lockifyd reads it from the file that dhchap_secrets of an [[export]] names, with the
host's NQN in front; lockctl from a file of its own; nvme connect takes it as
--dhchap-secret.`,
		Example: `  umask 077; lockctl disk key > host.secret
  echo "nqn.2026-01.com.example:host-a $(cat host.secret)" >> /etc/lockify/disk.secrets`,
		Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			h, ok := nvme.ParseAuthHash(hash)
			if !ok && hash != "none" {
				return &exitStatus{exitUsage, fmt.Errorf("--hash %s: want sha256, sha384, sha512 or none", hash)}
			}
			if hash == "none" {
				h = 0
			}
			s, err := auth.NewSecret(h)
			if err != nil {
				return err
			}
			if d.json {
				return d.printJSON(map[string]string{"secret": s.Text()})
			}
			_, err = fmt.Fprintln(d.stdout, s.Text())
			return err
		},
	}
	cmd.Flags().StringVar(&hash, "hash", hash, "`NAME` of the hash that the secret is transformed with: sha256, sha384, sha512 or none; its length follows")
	return cmd
}
