package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/lockify-dlm/lockify/internal/secure"
)

// checkFiles looks at the files that the settings name, for --check-config. It changes
// nothing, so that it may run beside the daemon. Errors: problems.
func (c *config) checkFiles() error {
	var bad problems
	add := func(key string, err error) {
		if err != nil {
			bad = append(bad, problem{c.from(key), key, err.Error()})
		}
	}
	if c.tls.Given() {
		self := secure.Identity{Cluster: c.cluster, Node: c.id}
		_, err := secure.OpenNode(c.tls, self, slog.New(slog.NewTextHandler(io.Discard, nil)))
		add("tls_cert", err)
	}
	for _, f := range []struct{ key, name string }{
		{"etcd_ca", c.etcd.CA}, {"etcd_cert", c.etcd.Cert}, {"etcd_key", c.etcd.Key}, {"etcd_password_file", c.etcdPassword},
	} {
		if f.name != "" {
			_, err := os.ReadFile(f.name)
			add(f.key, err)
		}
	}
	if info, err := os.Stat(c.data); err == nil && !info.IsDir() {
		add("data", fmt.Errorf("%s is no directory", c.data))
	}
	add("listen", checkSocket(c.listen))
	for _, addr := range c.clients {
		add("clients", checkSocket(addr))
	}
	if len(bad) > 0 {
		return bad
	}
	return nil
}

// checkSocket says whether something is where a Unix socket is to be made. A socket may be: that of
// the daemon that runs, or that one has left.
func checkSocket(addr string) error {
	path, ok := strings.CutPrefix(addr, "unix://")
	if !ok {
		return nil
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist): // it is made
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory; want the path of a socket, such as %s", path, filepath.Join(path, "lockify.sock"))
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", path)
	}
	return nil
}
