package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/internal/sharedisk"
)

// This file is for disks that nodes are kept from when the cluster goes on without them.

// fileFenceDisks takes the [[fence_disk]] tables.
func (l *loader) fileFenceDisks(v any, at func(string) string) {
	l.cfg.fenceDisks = readTables(l, "fence_disk", fenceDiskFields, v, at, fileFenceDisk)
}

func fileFenceDisk(t map[string]any, before []sharedisk.Disk, bad badKey) (d sharedisk.Disk) {
	if v := t["addr"]; v != nil {
		text, ok := fileValue(kindString, v)
		if !ok || checkTCP(text) != nil {
			bad("addr", "got %s; want host:port of an NVMe/TCP target", describe(v))
		}
		d.Addr = text
	}
	name := func(key string, to *string) {
		if v := t[key]; v != nil {
			text, ok := fileValue(kindString, v)
			if !ok || nvme.CheckNQN(text) != nil {
				bad(key, "got %s; want a name such as nqn.2026-01.com.example:disk", describe(v))
			}
			*to = text
		}
	}
	name("nqn", &d.NQN)
	name("host_nqn", &d.HostNQN)
	if v := t["nsid"]; v != nil {
		n, ok := v.(int64)
		if !ok || n < 1 || n >= int64(nvme.NSIDAll) {
			bad("nsid", "got %s; want the number of a namespace, from 1 on", describe(v))
		}
		d.NSID = uint32(n)
	}
	if d.NQN != "" && slices.ContainsFunc(before, func(o sharedisk.Disk) bool { return o.NQN == d.NQN && o.NSID == d.NSID }) {
		bad("nqn", "%s is there twice; want each disk once", d.NQN)
	}
	return d
}

// checkFenceDisks checks that there is a cluster that uses them.
func (l *loader) checkFenceDisks(add func(key, format string, args ...any)) {
	c := &l.cfg
	switch {
	case len(c.fenceDisks) == 0:
	case len(c.peers) > 0:
		add("fence_disk", "with peers the membership is fixed, and nobody is fenced; want either peers, or join and new_cluster")
	case len(c.etcd.Endpoints) > 0:
		add("fence_disk", "cannot be together with etcd: membership is kept there, and only time fences")
	case !c.newCluster && len(c.join) == 0 && c.data == "":
		add("fence_disk", "this node is in no cluster; want join, new_cluster or data as well")
	}
}

// showFenceDisks lists the disks for --check-config.
func showFenceDisks(all []sharedisk.Disk) string {
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].NQN
	}
	return strings.Join(names, ",")
}

// errSignal: a signal has come before the node could register.
var errSignal = errors.New("a signal has come")

// register registers a start of the node at the shared disks, before it joins. A signal
// ends the attempts.
func (d *daemon) register(ctx context.Context, instance uint64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case s := <-d.signals:
			d.signals <- s // for who ends the process
			cancel(errSignal)
		case <-ctx.Done():
		}
	}()
	return d.part.Register(ctx, instance)
}
