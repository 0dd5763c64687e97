package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
)

// resKey is a flag: a reservation key, in hex with or without 0x.
type resKey uint64

func (k *resKey) String() string { return fmt.Sprintf("%#x", uint64(*k)) }

func (*resKey) Type() string { return "KEY" }

// Set reads the flag.
func (k *resKey) Set(text string) error {
	v, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(text), "0x"), 16, 64)
	if err != nil || v == 0 {
		return fmt.Errorf("%q is no key: want 1 to 16 hex digits, not all 0", text)
	}
	*k = resKey(v)
	return nil
}

// resType is a flag: a type of reservation, by name.
type resType nvme.ReservationType

// resTypeNames are by type.
var resTypeNames = []string{
	"none", "write-exclusive", "exclusive-access", "write-exclusive-registrants", "exclusive-access-registrants",
	"write-exclusive-all-registrants", "exclusive-access-all-registrants",
}

func (t *resType) String() string {
	if int(*t) < len(resTypeNames) {
		return resTypeNames[*t]
	}
	return nvme.ReservationType(*t).String()
}

func (*resType) Type() string { return "TYPE" }

// Set reads the flag.
func (t *resType) Set(text string) error {
	i := slices.Index(resTypeNames, text)
	if i < 1 {
		return fmt.Errorf("%q is no type: want one of %s", text, strings.Join(resTypeNames[1:], ", "))
	}
	*t = resType(i)
	return nil
}

// reserve are the flags of the reserve commands.
type reserve struct {
	*disk
	key, current, other   resKey
	kind                  resType
	ignore, persist, also bool
}

const reserveLong = `reserve shows and changes who may use a disk. Each host registers a key. A registrant
can take a reservation, whose type says who may still read and write:

  write-exclusive                   the holder writes, all read
  exclusive-access                  the holder reads and writes
  write-exclusive-registrants       registrants write, all read; it ends with its holder
  exclusive-access-registrants      registrants read and write; it ends with its holder
  write-exclusive-all-registrants   registrants write, all read; all of them hold it
  exclusive-access-all-registrants  registrants read and write; all of them hold it

What is registered belongs to a host, which --host-id or a UUID in --host-nqn names,
and stays when lockctl ends. Keys are 64 bits in hex.`

func reserveCommand(d *disk) *cobra.Command {
	cmd := &cobra.Command{
		Use: "reserve", Short: "Show and change reservations of a disk", Long: reserveLong,
		Example: `  export LOCKIFY_HOST_ID=3f2a8c1e-0000-4000-8000-000000000001
  lockctl disk reserve register 127.0.0.1 nqn.2025-01.com.example:disk --key 1
  lockctl disk reserve acquire 127.0.0.1 nqn.2025-01.com.example:disk --key 1 --type write-exclusive
  lockctl disk reserve report 127.0.0.1 nqn.2025-01.com.example:disk`,
		Args: func(cmd *cobra.Command, args []string) error {
			return &exitStatus{exitUsage, fmt.Errorf("which command? there are report, register, unregister, acquire, release, preempt and clear; see %s --help", cmd.CommandPath())}
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args has refused
	}
	cmd.AddCommand(reportCommand(d))
	for _, c := range reserveCommands {
		cmd.AddCommand(c.command(d))
	}
	return cmd
}

// reserveChange is a command that changes a reservation. flags are the names of its
// flags, with ! behind those that are needed.
type reserveChange struct {
	use, short, long string
	flags            []string
	do               func(r *reserve, ctx context.Context, dev *host.Device) error
}

var reserveCommands = []reserveChange{
	{
		"register", "Register a key", `register gives this host a key. A host that has one already replaces it, with
--current-key or --ignore-key.`,
		[]string{"key!", "current-key", "ignore-key", "persist"}, (*reserve).register,
	}, {
		"unregister", "Take back this host's key", `unregister ends this host's registration, and the reservation if it holds that alone.`,
		[]string{"key", "ignore-key"}, (*reserve).unregister,
	}, {
		"acquire", "Take a reservation", `acquire takes a reservation for this host, which must be registered.`,
		[]string{"key!", "type!"}, (*reserve).acquire,
	}, {
		"release", "Give a reservation back", `release ends the reservation that this host holds. Registrations stay.`,
		[]string{"key!", "type"}, (*reserve).release,
	}, {
		"preempt", "End the registration of another host", `preempt ends the registrations with another key, and takes the reservation in place of
a holder that has it. When it returns, what those hosts had under way is done or refused.`,
		[]string{"key!", "other-key!", "type", "abort"}, (*reserve).preempt,
	}, {
		"clear", "End the reservation and all registrations", `clear ends the reservation and the registrations of all hosts, this one too.`,
		[]string{"key!"}, (*reserve).clear,
	},
}

func (c *reserveChange) command(d *disk) *cobra.Command {
	r := &reserve{disk: d}
	cmd := &cobra.Command{
		Use: c.use + " ADDR NQN", Short: c.short, Long: c.long,
		Example: fmt.Sprintf("  lockctl disk reserve %s 127.0.0.1 nqn.2025-01.com.example:disk%s", c.use, c.example()),
		Args: func(cmd *cobra.Command, args []string) error {
			if err := d.target("ADDR", "NQN")(cmd, args); err != nil {
				return err
			}
			return r.complete(cmd, c.flags)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(cmd.Context(), func(ctx context.Context, dev *host.Device) error { return c.do(r, ctx, dev) })
		},
	}
	flags := cmd.Flags()
	for _, name := range c.flags {
		switch name = strings.TrimSuffix(name, "!"); name {
		case "key":
			flags.Var(&r.key, name, "this host's `KEY`")
		case "current-key":
			flags.Var(&r.current, name, "the `KEY` that this host has now")
		case "other-key":
			flags.Var(&r.other, name, "the `KEY` of the other host")
		case "type":
			flags.Var(&r.kind, name, "`TYPE` of the reservation (default: the present one)")
		case "ignore-key":
			flags.BoolVar(&r.ignore, name, false, "whatever key this host has now")
		case "persist":
			flags.BoolVar(&r.persist, name, false, "keep registrations and reservation when the target restarts")
		case "abort":
			flags.BoolVar(&r.also, name, false, "abort what the other host has under way")
		}
	}
	return cmd
}

func (c *reserveChange) example() (out string) {
	for _, name := range c.flags {
		if name, ok := strings.CutSuffix(name, "!"); ok {
			out += " --" + name + " " + map[string]string{"key": "1", "other-key": "2", "type": "write-exclusive"}[name]
		}
	}
	return out
}

// complete looks whether all is there.
func (r *reserve) complete(cmd *cobra.Command, flags []string) error {
	if r.cfg.HostID == [16]byte{} {
		return &exitStatus{exitUsage, errors.New("which host? registrations belong to one: want --host-id UUID ($LOCKIFY_HOST_ID), or --host-nqn with a UUID")}
	}
	for _, name := range flags {
		if name, ok := strings.CutSuffix(name, "!"); ok && !cmd.Flags().Changed(name) {
			return &exitStatus{exitUsage, fmt.Errorf("--%s is missing; see %s --help", name, cmd.CommandPath())}
		}
	}
	return nil
}

// with opens the disk for f, and closes it.
func (r *reserve) with(ctx context.Context, f func(context.Context, *host.Device) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	dev, err := host.Open(ctx, r.cfg)
	if err != nil {
		return err
	}
	return errors.Join(f(ctx, dev), dev.Close())
}

func (r *reserve) register(ctx context.Context, dev *host.Device) error {
	p, k := nvme.Reservation{Action: nvme.Register, IgnoreKey: r.ignore}, nvme.ReservationKeys{Current: uint64(r.current), Other: uint64(r.key)}
	if r.ignore || r.current != 0 {
		p.Action = nvme.ReplaceKey
	}
	if r.persist {
		p.Persist = nvme.PersistOn
	}
	return dev.Reserve(ctx, nvme.OpReservationRegister, p, k)
}

func (r *reserve) unregister(ctx context.Context, dev *host.Device) error {
	p := nvme.Reservation{Action: nvme.Unregister, IgnoreKey: r.ignore}
	return dev.Reserve(ctx, nvme.OpReservationRegister, p, nvme.ReservationKeys{Current: uint64(r.key)})
}

func (r *reserve) acquire(ctx context.Context, dev *host.Device) error {
	p := nvme.Reservation{Action: nvme.Acquire, Type: nvme.ReservationType(r.kind)}
	return dev.Reserve(ctx, nvme.OpReservationAcquire, p, nvme.ReservationKeys{Current: uint64(r.key)})
}

// present gives the type that was asked for, or the one in force.
func (r *reserve) present(ctx context.Context, dev *host.Device) (nvme.ReservationType, error) {
	if r.kind != 0 {
		return nvme.ReservationType(r.kind), nil
	}
	s, err := dev.Reservations(ctx)
	return s.Type, err
}

func (r *reserve) release(ctx context.Context, dev *host.Device) error {
	t, err := r.present(ctx, dev)
	if err == nil && t == nvme.NoReservation {
		return errors.New("there is no reservation")
	}
	if err != nil {
		return err
	}
	return dev.Reserve(ctx, nvme.OpReservationRelease, nvme.Reservation{Action: nvme.Release, Type: t}, nvme.ReservationKeys{Current: uint64(r.key)})
}

func (r *reserve) preempt(ctx context.Context, dev *host.Device) error {
	t, err := r.present(ctx, dev)
	if err != nil {
		return err
	}
	p := nvme.Reservation{Action: nvme.Preempt, Type: t}
	if t == nvme.NoReservation {
		p.Type = nvme.WriteExclusive // some type must be said; none comes of it
	}
	if r.also {
		p.Action = nvme.PreemptAndAbort
	}
	return dev.Reserve(ctx, nvme.OpReservationAcquire, p, nvme.ReservationKeys{Current: uint64(r.key), Other: uint64(r.other)})
}

func (r *reserve) clear(ctx context.Context, dev *host.Device) error {
	return dev.Reserve(ctx, nvme.OpReservationRelease, nvme.Reservation{Action: nvme.Clear}, nvme.ReservationKeys{Current: uint64(r.key)})
}

// reservationReport is what report shows.
type reservationReport struct {
	Type        string           `json:"type"`
	Generation  uint32           `json:"generation"`
	Persist     bool             `json:"persist"`
	Registrants []diskRegistrant `json:"registrants"`
	Missing     int              `json:"missing"` // registrants that did not fit
}

type diskRegistrant struct {
	HostID      string   `json:"host_id"`
	Key         string   `json:"key"`
	Holder      bool     `json:"holder"`
	Controllers []uint16 `json:"controllers"` // at present
}

func reportCommand(d *disk) *cobra.Command {
	return &cobra.Command{
		Use: "report ADDR NQN", Short: "Show who is registered, and which reservation there is",
		Long: `report shows the reservation of a disk and the hosts that have registered a key. The
generation grows when a registration comes, changes or goes.`,
		Example: `  lockctl disk reserve report 127.0.0.1 nqn.2025-01.com.example:disk`,
		Args:    d.target("ADDR", "NQN"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r := &reserve{disk: d}
			return r.with(cmd.Context(), r.report)
		},
	}
}

func (r *reserve) report(ctx context.Context, dev *host.Device) error {
	s, err := dev.Reservations(ctx)
	if err != nil {
		return err
	}
	kind := resType(s.Type)
	out := reservationReport{Type: kind.String(), Generation: s.Generation, Persist: s.Persist, Missing: s.Total - len(s.Registrants)}
	out.Registrants = registrants(&s)
	if r.json {
		return r.printJSON(&out)
	}
	fmt.Fprintf(r.stdout, "reservation: %s, generation %d, %s\n", out.Type, out.Generation,
		map[bool]string{false: "ends with a restart of the target", true: "kept when the target restarts"}[out.Persist])
	if out.Missing > 0 {
		fmt.Fprintf(r.stdout, "%d registrants more than can be shown\n", out.Missing)
	}
	if len(out.Registrants) == 0 {
		return nil
	}
	var rows [][]any
	for _, g := range out.Registrants {
		holds, there := "-", "-"
		if g.Holder {
			holds = "holder"
		}
		if len(g.Controllers) > 0 {
			there = strings.Trim(strings.ReplaceAll(fmt.Sprint(g.Controllers), " ", ","), "[]")
		}
		rows = append(rows, []any{g.HostID, g.Key, holds, there})
	}
	return table(r.stdout, []any{"HOST", "KEY", "HOLDER", "CONTROLLERS"}, rows)
}

// registrants puts the controllers of a host together; in order of hosts.
func registrants(s *nvme.ReservationStatus) []diskRegistrant {
	out := []diskRegistrant{}
	for i := range s.Registrants {
		g := &s.Registrants[i]
		d := diskRegistrant{HostID: nvme.FormatUUID(g.HostID), Key: fmt.Sprintf("%#x", g.Key), Holder: g.Holder, Controllers: []uint16{}}
		at, found := slices.BinarySearchFunc(out, d.HostID, func(a diskRegistrant, id string) int { return strings.Compare(a.HostID, id) })
		if !found {
			out = slices.Insert(out, at, d)
		}
		if g.CNTLID != nvme.CNTLIDDynamic {
			out[at].Controllers = append(out[at].Controllers, g.CNTLID)
		}
	}
	for i := range out {
		slices.Sort(out[i].Controllers)
	}
	return out
}
