package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/lockify-dlm/lockify/internal/secure"
)

// checkFiles looks at the files that the settings name, for --check-config. It changes
// nothing, so that it may run beside the daemon. Errors: problems.
func (c *config) checkFiles() error {
	var bad problems
	add := func(key string, err error) {
		if err == nil {
			return
		}
		p := problem{c.where[key], key, err.Error()}
		if p.where[0] == '-' || p.where[0] == '$' {
			p.key = "" // the flag or variable says it
		}
		bad = append(bad, p)
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
	if len(bad) > 0 {
		return bad
	}
	return nil
}
