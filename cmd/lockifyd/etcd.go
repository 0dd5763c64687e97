package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/cluster/etcd"
	"github.com/lockify-dlm/lockify/wire"
)

// This file is for nodes whose membership is kept in etcd.

// etcdConfig puts together what is configured.
func (c *config) etcdConfig() etcd.Config {
	e := c.etcd
	e.Cluster, e.Addr, e.Features = c.cluster, c.advertise, wire.Features
	e.Terms = cluster.DefaultTerms()
	e.Terms.Lease = int64(c.lease)
	return e
}

// checkEtcd checks what is for a membership that is kept in etcd.
func (l *loader) checkEtcd(add func(key, format string, args ...any)) {
	c := &l.cfg
	if len(c.etcd.Endpoints) == 0 {
		for _, key := range []string{"etcd_prefix", "etcd_ca", "etcd_cert", "etcd_key", "etcd_user", "etcd_password_file"} {
			if c.where[key] != "" {
				add(key, "without etcd nothing comes of it; want etcd as well")
			}
		}
		return
	}
	for _, key := range []string{"peer", "new_cluster", "join", "fence_command"} {
		if c.where[key] != "" && (key != "new_cluster" || c.newCluster) {
			add("etcd", "cannot be together with %s: membership is kept in etcd, and only time fences", key)
		}
	}
	if c.where["voters"] != "" {
		add("voters", "with etcd nothing comes of it: etcd decides, and no node has a vote")
	}
	if (c.etcd.User == "") != (c.etcdPassword == "") {
		add("etcd_user", "want both a user and the file with the password, or neither")
	}
	if e := c.etcdConfig(); c.listen != "" {
		if err := e.Check(); err != nil {
			add("etcd", "%v", err)
		}
	}
}

// errCluster: the data directory is of a node that has been in another kind of cluster.
var errCluster = errors.New("this data directory is of a node whose membership was not kept in etcd")

// joinEtcd begins a membership.
func (d *daemon) joinEtcd(instance uint64, h cluster.Handler) (cluster.Provider, error) {
	if d.data != nil && d.data.InCluster() {
		return nil, fmt.Errorf("%w: %s", errCluster, d.cfg.data)
	}
	e := d.cfg.etcdConfig()
	e.Logger = d.log
	if d.cfg.etcdPassword != "" {
		text, err := os.ReadFile(d.cfg.etcdPassword)
		if err != nil {
			return nil, fmt.Errorf("password for etcd: %w", err)
		}
		e.Password = strings.TrimRight(string(text), "\r\n")
	}
	return etcd.Join(e, instance, h)
}
