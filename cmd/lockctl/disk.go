package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
)

// disk are the flags of all disk commands.
type disk struct {
	*options
	cfg     host.Config
	timeout time.Duration
	hostID  string
}

const diskLong = `disk speaks NVMe/TCP with a target: lockifyd's exports, the Linux kernel's or any
other. ADDR is its host:port; the port is 4420 if it is missing. NQN is the name of
a subsystem, which discover shows. Sizes are bytes, or have a unit: 4K, 1M, 2G, 1T.`

func diskCommand(o *options) *cobra.Command {
	d := &disk{options: o}
	cmd := &cobra.Command{
		Use: "disk", Short: "Find, read, write and measure disks of NVMe/TCP targets", Long: diskLong,
		Example: `  lockctl disk discover 127.0.0.1
  lockctl disk connect 127.0.0.1 nqn.2025-01.com.example:disk
  lockctl disk read 127.0.0.1 nqn.2025-01.com.example:disk --length 1M > first-megabyte`,
		Args: func(cmd *cobra.Command, args []string) error {
			return &exitStatus{exitUsage, fmt.Errorf("which command? there are discover, connect, read, write, bench, reserve and key; see %s --help", cmd.CommandPath())}
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args has refused
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&d.cfg.HostNQN, "host-nqn", env("LOCKIFY_HOST_NQN", ""), "`NQN` of this host, which the target may know; $LOCKIFY_HOST_NQN (default: a new one)")
	flags.StringVar(&d.hostID, "host-id", env("LOCKIFY_HOST_ID", ""), "`UUID` of this host, whose registrations reservations go by; $LOCKIFY_HOST_ID (default: that in the host's NQN, else a new one)")
	flags.BoolVar(&d.cfg.HeaderDigest, "header-digest", false, "checksums of headers")
	flags.BoolVar(&d.cfg.DataDigest, "data-digest", false, "checksums of data")
	flags.Var(&secretFile{to: &d.cfg.Secret}, "dhchap-secret-file", "`FILE` with this host's secret, for targets that want authentication; see key")
	flags.Var(&secretFile{to: &d.cfg.ControllerSecret}, "dhchap-ctrl-secret-file", "`FILE` with the target's secret, which it has to prove that it knows")
	flags.Uint32Var(&d.cfg.NSID, "nsid", 0, "namespace `N` of the subsystem (default: the only one)")
	flags.DurationVar(&d.timeout, "connect-timeout", 10*time.Second, "give up connecting after `TIME`")
	cmd.AddCommand(discoverCommand(d), connectCommand(d), diskReadCommand(d), diskWriteCommand(d), benchCommand(d), reserveCommand(d), diskKeyCommand(d))
	return cmd
}

// target is exactArgs for ADDR and NQN.
func (d *disk) target(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return &exitStatus{exitUsage, fmt.Errorf("%s is missing; see %s --help", names[len(args)], cmd.CommandPath())}
		case len(args) > len(names):
			return &exitStatus{exitUsage, fmt.Errorf("argument %q is one too many; see %s --help", args[len(names)], cmd.CommandPath())}
		}
		if err := d.identify(); err != nil {
			return &exitStatus{exitUsage, err}
		}
		if !d.cfg.Secret.IsZero() && d.cfg.HostNQN == "" {
			return &exitStatus{exitUsage, errors.New("--dhchap-secret-file needs --host-nqn, the name under which the target has the secret")}
		}
		d.cfg.Addr = args[0]
		if len(args) > 1 {
			d.cfg.SubNQN = args[1]
			if err := nvme.CheckNQN(d.cfg.SubNQN); err != nil {
				return &exitStatus{exitUsage, err}
			}
		}
		return nil
	}
}

// identify sets the ID of this host.
func (d *disk) identify() (err error) {
	if d.hostID != "" {
		d.cfg.HostID, err = nvme.ParseUUID(d.hostID)
		return err
	}
	d.cfg.HostID, _ = nvme.UUIDOfName(d.cfg.HostNQN) // else a new one
	return nil
}

// open connects and makes a device.
func (d *disk) open(ctx context.Context) (*host.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	dev, err := host.Open(ctx, d.cfg)
	return dev, d.explainTarget(err)
}

// explainTarget says what to do about an address where nobody answers as a target does.
func (d *disk) explainTarget(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: no answer of %s within %v: is that an NVMe/TCP target? (--connect-timeout)", err, d.cfg.Addr, d.timeout)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w: %s closed the connection: is that an NVMe/TCP target?", err, d.cfg.Addr)
	}
	return err
}

func discoverCommand(d *disk) *cobra.Command {
	return &cobra.Command{
		Use: "discover ADDR", Short: "List the subsystems that a target offers",
		Long: `discover asks a target's discovery controller which subsystems there are for this
host, and at which addresses.`,
		Example: `  lockctl disk discover 127.0.0.1:4420
  lockctl disk discover 127.0.0.1 --json`,
		Args: d.target("ADDR"),
		RunE: func(cmd *cobra.Command, _ []string) error { return d.discover(cmd.Context()) },
	}
}

// diskEntry is what discover shows of a subsystem.
type diskEntry struct {
	NQN     string `json:"nqn"`
	Type    string `json:"type"`
	Address string `json:"address"`
	Service string `json:"service"`
	Port    uint16 `json:"port_id"`
	TLS     bool   `json:"tls_required"`
}

var subsystemTypes = map[uint8]string{
	nvme.SubsystemNVM: "disk", nvme.SubsystemReferral: "referral", nvme.SubsystemDiscovery: "discovery",
}

func (d *disk) discover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	entries, err := host.Discover(ctx, d.cfg)
	if err != nil {
		return d.explainTarget(err)
	}
	list, rows := make([]diskEntry, len(entries)), make([][]any, len(entries))
	for i, e := range entries {
		kind, ok := subsystemTypes[e.Subsystem]
		if !ok {
			kind = fmt.Sprintf("type %d", e.Subsystem)
		}
		list[i] = diskEntry{NQN: e.SubNQN, Type: kind, Address: e.Address, Service: e.Service, Port: e.PortID, TLS: e.TREQ&3 == nvme.SecureRequired}
		rows[i] = []any{e.SubNQN, kind, e.Address, e.Service, e.PortID}
	}
	if d.json {
		return d.printJSON(list)
	}
	return table(d.stdout, []any{"NQN", "TYPE", "ADDRESS", "SERVICE", "PORT"}, rows)
}

func connectCommand(d *disk) *cobra.Command {
	return &cobra.Command{
		Use: "connect ADDR NQN", Short: "Connect to a subsystem and show what it is",
		Long: `connect makes a controller, identifies it and its namespaces, prints that, and
disconnects.`,
		Example: `  lockctl disk connect 127.0.0.1 nqn.2025-01.com.example:disk`,
		Args:    d.target("ADDR", "NQN"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return d.connect(cmd.Context()) },
	}
}

// diskInfo is what connect shows.
type diskInfo struct {
	NQN        string          `json:"nqn"`
	Model      string          `json:"model"`
	Serial     string          `json:"serial"`
	Firmware   string          `json:"firmware"`
	Version    string          `json:"version"`
	Controller uint16          `json:"controller"`
	Queues     int             `json:"queues"`
	Depth      int             `json:"depth"`
	Capsule    int             `json:"in_capsule_bytes"`
	Namespaces []diskNamespace `json:"namespaces"`
}

type diskNamespace struct {
	ID          uint32 `json:"nsid"`
	Size        int64  `json:"bytes"`
	BlockSize   int    `json:"block_bytes"`
	MaxTransfer int    `json:"max_transfer_bytes"`
	Cache       bool   `json:"volatile_cache"`
	ReadOnly    bool   `json:"read_only"`
	UUID        string `json:"uuid,omitempty"`
}

func (d *disk) connect(ctx context.Context) (err error) {
	dial, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	c, err := host.Dial(dial, d.cfg)
	if err != nil {
		return d.explainTarget(err)
	}
	defer c.Close()
	i := c.Info()
	info := diskInfo{
		NQN: d.cfg.SubNQN, Model: i.Identify.Model, Serial: i.Identify.Serial, Firmware: i.Identify.Firmware, Version: i.Version.String(),
		Controller: i.CNTLID, Queues: i.Queues, Depth: int(i.Capabilities.MaxQueue), Capsule: i.Identify.CapsuleData(),
	}
	for _, n := range i.Namespaces {
		dev, err := c.Device(n.ID)
		if err != nil {
			return err
		}
		b := dev.Info()
		ns := diskNamespace{ID: n.ID, Size: b.Size, BlockSize: b.BlockSize, MaxTransfer: b.MaxTransfer, Cache: b.VolatileCache, ReadOnly: b.ReadOnly}
		if u := n.Names.UUID; u != [16]byte{} {
			ns.UUID = nvme.FormatUUID(u)
		}
		info.Namespaces = append(info.Namespaces, ns)
	}
	if d.json {
		return d.printJSON(info)
	}
	return printDisk(d.stdout, &info)
}

func printDisk(w io.Writer, i *diskInfo) error {
	fmt.Fprintf(w, "%s\n%s, serial %s, firmware %s, NVMe %s\n", i.NQN, i.Model, i.Serial, i.Firmware, i.Version)
	fmt.Fprintf(w, "controller %d: %d I/O queues of %d, writes of up to %s in the capsule\n", i.Controller, i.Queues, i.Depth, formatSize(int64(i.Capsule)))
	rows := make([][]any, len(i.Namespaces))
	for k, n := range i.Namespaces {
		what := "-"
		switch {
		case n.ReadOnly:
			what = "read only"
		case n.Cache:
			what = "volatile cache"
		}
		rows[k] = []any{n.ID, roughSize(float64(n.Size)), formatSize(int64(n.BlockSize)), formatSize(int64(n.MaxTransfer)), what, n.UUID}
	}
	return table(w, []any{"NSID", "SIZE", "BLOCK", "MAX TRANSFER", "NOTES", "UUID"}, rows)
}
