package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Device is a namespace as a blockdev.Device. Each of its rings is a queue pair with a
// connection of its own.
type Device struct {
	c    *Controller
	ns   Namespace
	info blockdev.Info
	own  bool // Close closes the controller
}

// limits are what a controller takes in one command.
type limits struct {
	zeroes  int64 // bytes of a Write Zeroes
	verify  int64 // bytes of a Verify
	trim    int64 // bytes of a range of a Dataset Management
	capsule int   // bytes of data in a capsule
}

// Open connects to a subsystem and makes a device of its namespace cfg.NSID, or of the
// only one that it has. Close of the device ends the connection.
func Open(ctx context.Context, cfg Config) (*Device, error) {
	c, err := Dial(ctx, cfg)
	if err != nil {
		return nil, err
	}
	d, err := c.Device(cfg.NSID)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	d.own = true
	return d, nil
}

// Device makes a device of a namespace; of the only one there is, if nsid is 0.
func (c *Controller) Device(nsid uint32) (*Device, error) {
	info := c.Info()
	if nsid == 0 {
		if len(info.Namespaces) != 1 {
			return nil, fmt.Errorf("nvme: %s at %s has %d namespaces: say which one", c.cfg.SubNQN, c.cfg.Addr, len(info.Namespaces))
		}
		nsid = info.Namespaces[0].ID
	}
	i := slices.IndexFunc(info.Namespaces, func(n Namespace) bool { return n.ID == nsid })
	if i < 0 {
		return nil, fmt.Errorf("nvme: %s at %s has no namespace %d", c.cfg.SubNQN, c.cfg.Addr, nsid)
	}
	d := &Device{c: c, ns: info.Namespaces[i]}
	if err := d.describe(&info); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.inUse[nsid] = d
	c.mu.Unlock()
	return d, nil
}

// pages is a limit of a controller's that it gives as an exponent; otherwise if there is none.
func (c *Info) pages(exponent uint8, otherwise int64) int64 {
	if n := nvme.PagesLimit(exponent, c.Capabilities.MinPage); n != 0 && n < uint64(otherwise) {
		return int64(n)
	}
	return otherwise
}

// limits gives those of the controller for a namespace with such blocks. A piece has a block at least,
// though the controller may refuse that: none at all would be as many as a command can name.
func (c *Info) limits(blockSize int) limits {
	bs := int64(blockSize)
	l := limits{
		zeroes: max(bs, c.pages(c.NVM.WZSL, nvme.MaxBlocks*bs)), verify: max(bs, c.pages(c.NVM.VSL, nvme.MaxBlocks*bs)),
		trim: (1<<32 - 1) * bs, capsule: c.Identify.CapsuleData(),
	}
	if c.NVM.DMRSL != 0 {
		l.trim = int64(c.NVM.DMRSL) * bs
	}
	return l
}

// describe sets info.
func (d *Device) describe(c *Info) error {
	if f, _ := d.ns.Identify.Format(); f.Metadata != 0 {
		return fmt.Errorf("nvme: namespace %d has blocks with %d bytes of metadata, which this host can't do", d.ns.ID, f.Metadata)
	}
	id := &c.Identify
	most := min(nvme.MaxBlocks*int64(d.ns.BlockSize), maxPDUData)
	d.info = blockdev.Info{
		BlockSize: d.ns.BlockSize, Size: d.ns.Size, MaxTransfer: int(c.pages(id.MDTS, most)),
		VolatileCache: id.VWC&nvme.WriteCache != 0, ReadOnly: d.ns.Identify.NSATTR&nvme.NSWriteProtect != 0,
		Name: d.c.cfg.Addr, NQN: d.c.cfg.SubNQN, NSID: d.ns.ID,
	}
	for _, f := range []struct {
		has  bool
		what blockdev.Features
	}{
		{id.ONCS&nvme.CommandWriteZeroes != 0, blockdev.HasWriteZeroes},
		{id.ONCS&nvme.CommandDSM != 0, blockdev.HasDeallocate},
		{id.ONCS&nvme.CommandCompare != 0, blockdev.HasCompare},
		{id.ONCS&nvme.CommandCompare != 0 && id.FUSES&nvme.FuseCompareWrite != 0, blockdev.HasCompareWrite},
		{id.ONCS&nvme.CommandVerify != 0, blockdev.HasVerify},
		{id.ONCS&nvme.CommandDSM != 0 && d.ns.Identify.DLFEAT&7 == 1, blockdev.DeallocateZeroes},
	} {
		if f.has {
			d.info.Features |= f.what
		}
	}
	return d.info.Validate()
}

// sameDevices looks whether the namespaces that devices were made of are still what
// they were, and whether rings can go on with them. They may have grown.
func (c *Controller) sameDevices(info *Info) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.inUse {
		if _, err := d.now(info); err != nil {
			return err
		}
	}
	for _, q := range c.rings {
		if !q.kept {
			continue // whoever makes it will look
		}
		if err := q.mayGoOn(info); err != nil {
			return err
		}
	}
	return nil
}

// now gives the device that stands in the place of d, if that is the same namespace.
func (d *Device) now(info *Info) (*Device, error) {
	i := slices.IndexFunc(info.Namespaces, func(n Namespace) bool { return n.ID == d.ns.ID })
	if i < 0 {
		return nil, fmt.Errorf("nvme: %s: namespace %d is not there any more", d.c.cfg.Addr, d.ns.ID)
	}
	now := &Device{c: d.c, ns: info.Namespaces[i]}
	err := now.describe(info)
	switch was, is := &d.info, &now.info; {
	case err != nil:
	case is.BlockSize != was.BlockSize || is.Size < was.Size:
		err = fmt.Errorf("%d bytes in blocks of %d, not %d in %d", is.Size, is.BlockSize, was.Size, was.BlockSize)
	case now.ns.Names != d.ns.Names, now.ns.Identify.NGUID != d.ns.Identify.NGUID, now.ns.Identify.EUI64 != d.ns.Identify.EUI64:
		err = errors.New("its UUID, NGUID or EUI64 has changed")
	}
	if err != nil {
		return nil, fmt.Errorf("nvme: %s: namespace %d has become another one: %w", d.c.cfg.Addr, d.ns.ID, err)
	}
	return now, nil
}

// mayGoOn says why a ring can't be one of the namespace as it is now: programs rely on what Info has
// told them. A command of its own has been told nothing.
func (q *queue) mayGoOn(info *Info) error {
	now, err := q.d.now(info)
	if err != nil || q.alone {
		return err
	}
	switch was, is := &q.d.info, &now.info; {
	case is.MaxTransfer < was.MaxTransfer:
		err = fmt.Errorf("takes %d bytes at a time, not %d", is.MaxTransfer, was.MaxTransfer)
	case was.Features&^is.Features != 0:
		err = errors.New("does not have all operations any more")
	case is.VolatileCache && !was.VolatileCache:
		err = errors.New("has a volatile cache now")
	}
	if err != nil {
		return fmt.Errorf("nvme: %s: namespace %d, whose device was made before, %w", q.d.c.cfg.Addr, q.d.ns.ID, err)
	}
	return nil
}

// Info describes the device.
func (d *Device) Info() blockdev.Info { return d.info }

// Controller is the controller that the device is of.
func (d *Device) Controller() *Controller { return d.c }

// Namespace describes the namespace as it was when the device was made.
func (d *Device) Namespace() Namespace { return d.ns }

// Close ends the device, and its controller if Open has made it.
func (d *Device) Close() error {
	if d.own {
		return d.c.Close()
	}
	return nil
}

// NewRing makes a ring: a queue pair, and a connection. If the controller is lost just
// now, it waits for it, until ctx ends.
func (d *Device) NewRing(ctx context.Context, cfg blockdev.RingConfig) (*blockdev.Ring, error) {
	cfg, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	q, err := newQueue(d, cfg)
	if err != nil {
		return nil, err
	}
	if err = d.c.admit(ctx, q); err != nil {
		q.free()
		return nil, err
	}
	return blockdev.NewRing(d.info, cfg, q)
}

// Command does one command that rings don't know, such as those of reservations, on an
// I/O queue that it makes for it: for what is rare. cmd's CID and SGL are set here, and
// data is sent with it or filled by it. It gives the command's Result; a status other
// than success is an error of type nvme.Status, nvme.ErrTruncated says that not all of
// data was filled. With any other error nobody knows whether it was done.
func (d *Device) Command(ctx context.Context, cmd *nvme.Command, data []byte) (uint64, error) {
	end, err := d.command(ctx, cmd, data)
	if err == nil {
		err = filled(cmd, &end, data)
	}
	return end.Result, err
}

// filled says that a command which has succeeded did not fill all of data.
func filled(cmd *nvme.Command, end *ending, data []byte) error {
	if cmd.Direction() == nvme.ToHost && end.Got < len(data) {
		return fmt.Errorf("%w: %d of %d bytes came", nvme.ErrTruncated, end.Got, len(data))
	}
	return nil
}

// command is Command, but for data that was not filled.
func (d *Device) command(ctx context.Context, cmd *nvme.Command, data []byte) (ending, error) {
	cfg, err := blockdev.RingConfig{Depth: 1}.Complete()
	if err != nil {
		return ending{}, err
	}
	q, err := newQueue(d, cfg)
	if err != nil {
		return ending{}, err
	}
	q.alone = true
	if err = d.c.admit(ctx, q); err != nil {
		q.free()
		return ending{}, err
	}
	defer q.Close()
	if q.hear(); q.l == nil {
		return ending{}, errLost
	}
	l := q.l
	l.look = q.hear // the controller may be lost
	end, err := l.call(ctx, q.w, cmd, data, l.limits.capsule)
	if err != nil {
		return ending{}, fmt.Errorf("%s: %w", cmd.Name(false), err)
	}
	return end, end.Status.Err()
}
