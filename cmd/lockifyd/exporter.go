package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
	"github.com/lockify-dlm/lockify/blockdev/uring"
)

// exporter is the target of all exports.
type exporter struct {
	server  *target.Server
	devices []blockdev.Device
	addrs   []string
}

const (
	// exportSpin is how long a connection that was active looks for more before it
	// sleeps: about twice what a request takes on the way.
	exportSpin = 20 * time.Microsecond
	// controllersPerNode is how many controller IDs each node has for itself, so that
	// several nodes can be ways to one subsystem.
	controllersPerNode = 256
)

// startExports opens devices and addresses. Whatever happens, close ends what it has
// started.
func startExports(ctx context.Context, cfg *config, log *slog.Logger) (*exporter, error) {
	x := &exporter{}
	var err error
	if x.server, err = target.New(target.Config{Spin: exportSpin, Log: log}); err != nil {
		return x, err
	}
	ports := map[string]*core.Port{}
	for i := range cfg.exports {
		for _, addr := range cfg.exports[i].listen {
			if ports[addr] != nil {
				continue
			}
			p, at, err := x.server.Bind(ctx, addr, "")
			if err != nil {
				return x, fmt.Errorf("export %s: %w", cfg.exports[i].nqn, err)
			}
			ports[addr] = p
			x.addrs = append(x.addrs, at.String())
		}
	}
	for i := range cfg.exports {
		if err := x.add(cfg, &cfg.exports[i], ports); err != nil {
			return x, fmt.Errorf("export %s: %w", cfg.exports[i].nqn, err)
		}
	}
	x.server.Start()
	return x, nil
}

func (x *exporter) add(cfg *config, e *export, ports map[string]*core.Port) error {
	first := (cfg.id-1)%255*controllersPerNode + 1
	sub := target.Subsystem{SubsystemConfig: core.SubsystemConfig{
		NQN: e.nqn, Hosts: e.hosts, AnyHost: e.anyHost, Secrets: e.secrets, Auth: e.auth,
		FirstController: first, LastController: first + controllersPerNode - 1,
	}}
	for _, addr := range e.listen {
		sub.Ports = append(sub.Ports, ports[addr])
	}
	if cfg.data != "" {
		sub.State = filepath.Join(cfg.data, "exports", url.PathEscape(e.nqn))
	}
	for i, n := range e.namespaces {
		dev, err := openNamespace(&n)
		if err != nil {
			return err
		}
		x.devices = append(x.devices, dev)
		sub.Namespaces = append(sub.Namespaces, core.NamespaceConfig{NSID: uint32(i) + 1, Device: dev})
	}
	return x.server.AddSubsystem(sub)
}

func openNamespace(n *exportedNS) (blockdev.Device, error) {
	if n.memory > 0 {
		return blockdev.NewMemory(n.memory, exportBlock)
	}
	return uring.Open(uring.Config{Path: n.path, ReadOnly: n.readOnly, Direct: n.direct})
}

// ready is what the line "ready" says of the exports.
func (x *exporter) ready() string { return " exports=" + strings.Join(x.addrs, ",") }

// close ends all connections of hosts, then the devices.
func (x *exporter) close() error {
	var errs []error
	if x.server != nil {
		errs = append(errs, x.server.Close())
	}
	for _, d := range x.devices {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}
