package replay

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/perf/proc"
)

// startDaemons runs a lockifyd per node and returns when all are ready.
func (c *coordinator) startDaemons(ctx context.Context) error {
	path, err := proc.DaemonPath(c.opts.Daemon)
	if err != nil {
		return err
	}
	admins, err := proc.FreeAddrs(c.opts.Nodes)
	if err != nil {
		return err
	}
	for _, a := range admins {
		client, err := admin.NewClient(a)
		if err != nil {
			return err
		}
		c.admins = append(c.admins, client)
	}
	ready := make(chan struct{}, c.opts.Nodes)
	for i := range c.opts.Nodes {
		socket := "unix://" + filepath.Join(c.dir, fmt.Sprintf("node%d.sock", i+1))
		c.sockets = append(c.sockets, socket)
		config := filepath.Join(c.dir, fmt.Sprintf("node%d.toml", i+1))
		if err := os.WriteFile(config, c.daemonConfig(i, socket, admins[i]), 0o600); err != nil {
			return err
		}
		p, err := proc.Start(fmt.Sprintf("lockifyd %d", i+1), func(r io.Reader) {
			proc.ReadUntil(r, "ready")
			ready <- struct{}{}
		}, path, "--config", config)
		if err != nil {
			return err
		}
		c.daemons = append(c.daemons, p)
	}
	for range c.opts.Nodes {
		select {
		case <-ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for _, p := range c.daemons {
		select {
		case <-p.Ended:
			return p.Failure()
		default:
		}
	}
	return nil
}

// daemonConfig is the configuration file of node i+1.
func (c *coordinator) daemonConfig(i int, socket, admin string) []byte {
	b := fmt.Appendf(nil, "id = %d\ncluster = \"replay\"\nlisten = %q\nclients = [%q]\nadmin = %q\nlog_level = %q\ntransport = %q\n",
		i+1, c.addrs[i], socket, admin, c.opts.LogLevel, c.opts.Transport)
	for j, a := range c.addrs {
		if j != i {
			b = fmt.Appendf(b, "\n[[peer]]\nid = %d\naddr = %q\ndelay = %q\n", j+1, a, c.opts.RTT/2)
		}
	}
	return b
}
