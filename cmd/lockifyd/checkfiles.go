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

// checkFiles looks at the files that the settings name, for --check-config. It leaves all as
// it was, so that it may run beside the daemon. Errors: problems.
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
	if c.data != "" {
		add("data", checkDir(c.data))
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

// checkDir says whether a directory is there or can be made, which it tries in the nearest one
// above it that is there.
func checkDir(path string) error {
	at := path
	info, err := os.Stat(at)
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", at)
	case at == path:
		return nil
	}
	tried, err := os.MkdirTemp(at, ".lockifyd-check-")
	if err != nil {
		return fmt.Errorf("%s cannot be made: no directory can, in %s: %w", path, at, errors.Unwrap(err))
	}
	return os.Remove(tried)
}

// socketDir makes the directory of a Unix socket. If what it is to be in is missing, too, the path
// is mistyped rather than new.
func socketDir(path string) error {
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o755); {
	case err == nil, errors.Is(err, fs.ErrExist):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return noSocketDir(path)
	default:
		return fmt.Errorf("directory of the socket: %w", err)
	}
}

func noSocketDir(path string) error {
	dir := filepath.Dir(path)
	return fmt.Errorf("socket %s: there is no directory %s, nor %s to make it in; want one that is there, or make it first", path, dir, filepath.Dir(dir))
}

// checkSocket says whether something is where a Unix socket is to be made. A socket may be: that of
// the daemon that runs, or that one has left.
func checkSocket(addr string) error {
	path, ok := strings.CutPrefix(addr, "unix://")
	if !ok {
		return nil
	}
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist): // it is made, and its directory
		if _, err := os.Stat(filepath.Dir(filepath.Dir(path))); errors.Is(err, fs.ErrNotExist) {
			return noSocketDir(path)
		}
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
