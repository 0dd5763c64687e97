package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/internal/bounds"
	"github.com/lockify-dlm/lockify/internal/secure"
)

// tlsRun is what the commands below tls have.
type tlsRun struct {
	*options
	dir     string
	cluster string
	caDays  int
	days    int // of a node or a client
}

// Names of the files, in the directory.
const (
	caCert = "ca.crt"
	caKey  = "ca.key"
)

func tlsCommand(o *options) *cobra.Command {
	r := &tlsRun{options: o}
	cmd := &cobra.Command{
		Use: "tls", Short: "Make certificates for nodes and clients",
		Long: `tls makes the certificates by which nodes and clients know each other: first that of a CA
of the cluster's own (init), then one for each node and each client. They go into a
directory; a file that is there already is never replaced. NAME.key files, and ca.key
above all, are secrets: whoever has ca.key can make certificates for anybody.`,
		Example: `  lockctl tls init --cluster storage --dir certs
  lockctl tls node 1 --dir certs
  lockctl tls client backup --dir certs
  lockifyd --id 1 --cluster storage --tls-cert certs/node-1.crt --tls-key certs/node-1.key --tls-ca certs/ca.crt ...
  lockctl --addr tcp://10.0.0.1:7542 --tls-cert certs/backup.crt --tls-key certs/backup.key --tls-ca certs/ca.crt lock ...`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return &exitStatus{exitUsage, fmt.Errorf("which command? there are init, node and client; see %s --help", cmd.CommandPath())}
		},
		Args: cobra.ArbitraryArgs,
	}
	cmd.PersistentFlags().StringVar(&r.dir, "dir", ".", "`DIR` of the files")
	ca := &cobra.Command{
		Use: "init", Short: "Make the CA of a new cluster: ca.crt and ca.key", Args: exactArgs(),
		RunE: func(*cobra.Command, []string) error { return r.init() },
	}
	ca.Flags().StringVar(&r.cluster, "cluster", "lockify", "`NAME` of the cluster, as lockifyd has it")
	node := &cobra.Command{
		Use: "node ID", Short: "Make the certificate of a node: node-ID.crt and node-ID.key", Args: exactArgs("ID"),
		RunE: func(_ *cobra.Command, args []string) error { return r.node(args[0]) },
	}
	client := &cobra.Command{
		Use: "client NAME", Short: "Make the certificate of a client: NAME.crt and NAME.key", Args: exactArgs("NAME"),
		RunE: func(_ *cobra.Command, args []string) error { return r.client(args[0]) },
	}
	ca.Flags().IntVar(&r.caDays, "days", 3650, "for how many `DAYS` it is good, 1 to 36500")
	for _, c := range []*cobra.Command{node, client} {
		c.Flags().IntVar(&r.days, "days", 365, "for how many `DAYS` it is good, 1 to 36500; no longer than the CA's")
	}
	cmd.AddCommand(ca, node, client)
	return cmd
}

func validFor(days int) (time.Duration, error) {
	if days < 1 || days > 36500 {
		return 0, &exitStatus{exitUsage, fmt.Errorf("--days %d, want 1 to 36500", days)}
	}
	return time.Duration(days) * 24 * time.Hour, nil
}

func (r *tlsRun) init() error {
	valid, err := validFor(r.caDays)
	if err != nil {
		return err
	}
	if len(r.cluster) < 1 || len(r.cluster) > bounds.MaxClusterName {
		return &exitStatus{exitUsage, fmt.Errorf("--cluster of %d bytes, want 1 to %d", len(r.cluster), bounds.MaxClusterName)}
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	p, err := secure.NewCA(r.cluster, time.Now(), valid)
	if err != nil {
		return err
	}
	return r.write(p, caCert, caKey)
}

func (r *tlsRun) node(id string) error {
	n, err := strconv.ParseUint(id, 10, 16)
	if err != nil || n == 0 {
		return &exitStatus{exitUsage, fmt.Errorf("ID %q, want a node's number, 1 to 65535", id)}
	}
	return r.issue(secure.Identity{Node: uint16(n)}, "node-"+strconv.FormatUint(n, 10))
}

func (r *tlsRun) client(name string) error {
	if strings.ContainsAny(name, "/\x00") || strings.HasPrefix(name, ".") || name == "ca" || strings.HasPrefix(name, "node-") {
		return &exitStatus{exitUsage, fmt.Errorf("NAME %q cannot be the name of its files: want one without a slash, that begins with no dot and is not that of the CA or a node", name)}
	}
	return r.issue(secure.Identity{Client: name}, name)
}

func (r *tlsRun) issue(i secure.Identity, file string) error {
	valid, err := validFor(r.days)
	if err != nil {
		return err
	}
	ca, err := r.readCA()
	if err != nil {
		return err
	}
	now := time.Now()
	p, err := secure.Issue(ca, i, now, valid)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", filepath.Join(r.dir, caCert), filepath.Join(r.dir, caKey), err)
	}
	end, err := p.End()
	if err != nil {
		return err
	}
	if err := r.write(p, file+".crt", file+".key"); err != nil {
		return err
	}
	if end.Before(now.Add(valid - time.Second)) { // certificates count seconds
		fmt.Fprintf(r.stderr, "lockctl: it ends with the CA at %s, before the %d days of --days are over\n", end.UTC().Format(time.RFC3339), r.days)
	}
	return nil
}

// readCA reads both files. Where only one is there, such as when the key was put where it is safe,
// another CA is not what is wanted.
func (r *tlsRun) readCA() (ca secure.Pair, err error) {
	cert, key := filepath.Join(r.dir, caCert), filepath.Join(r.dir, caKey)
	var errCert, errKey error
	ca.Cert, errCert = os.ReadFile(cert)
	ca.Key, errKey = os.ReadFile(key)
	switch noCert, noKey := errors.Is(errCert, fs.ErrNotExist), errors.Is(errKey, fs.ErrNotExist); {
	case noCert && noKey:
		return ca, fmt.Errorf("%s has no CA: make one with lockctl tls init, or name its directory with --dir", r.dir)
	case noCert:
		return ca, fmt.Errorf("%s is there, but %s is missing: put it back", key, cert)
	case noKey:
		return ca, fmt.Errorf("%s is there, but %s is missing: put it back for as long as certificates are made", cert, key)
	}
	return ca, cmp.Or(errCert, errKey)
}

// write makes both files. A key without its certificate is of no use, so that is first.
func (r *tlsRun) write(p secure.Pair, cert, key string) error {
	for _, name := range []string{cert, key} {
		if _, err := os.Lstat(filepath.Join(r.dir, name)); err == nil {
			return fmt.Errorf("%s is there already, and stays as it is: remove it first, or use another --dir", filepath.Join(r.dir, name))
		}
	}
	if err := create(filepath.Join(r.dir, cert), p.Cert, 0o644); err != nil {
		return err
	}
	if err := create(filepath.Join(r.dir, key), p.Key, 0o600); err != nil {
		os.Remove(filepath.Join(r.dir, cert))
		return err
	}
	_, err := fmt.Fprintf(r.stdout, "%s\n%s\n", filepath.Join(r.dir, cert), filepath.Join(r.dir, key))
	return err
}

func create(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(name) // else the next try finds half of it, and leaves it as it is
	}
	return err
}
