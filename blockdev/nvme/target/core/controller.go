package core

import (
	"errors"
	"fmt"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Controller is what a host sees of a subsystem: one admin queue, and I/O queues.
type Controller struct {
	id      uint16
	sub     *Subsystem
	admin   *Session
	io      [MaxQueues]*Session // by queue ID - 1
	hostNQN string
	hostID  [16]byte
	gone    bool // the admin queue has ended

	config    nvme.Config
	status    nvme.ControllerStatus
	queues    int    // I/O queues granted
	keepAlive uint32 // ms; 0: none
	lastSeen  uint64 // ms
	features  features
	events    events
	errors    errorLog
	changedNS []uint32 // of LogChangedNS
	noticed   []nvme.ReservationNotice
	notices   uint64
}

// ready says whether I/O may be done.
func (c *Controller) ready() bool { return c.status&nvme.StatusReady != 0 && !c.gone }

// version is what the properties and Identify say.
const version = nvme.Version14

func (c *Controller) capabilities() nvme.Capabilities {
	return nvme.Capabilities{
		MaxQueue: MaxEntries - 1, Contiguous: true, Timeout: 30, NVM: true, CommandSets: true,
	}
}

// property reads a property.
func (c *Controller) property(cmd *nvme.Command) (uint64, nvme.Status) {
	p, st := cmd.Property()
	if !st.OK() {
		return 0, st
	}
	v := uint64(0)
	switch p.Offset {
	case nvme.PropCAP:
		v = c.capabilities().Value()
	case nvme.PropVS:
		v = uint64(version)
	case nvme.PropCC:
		v = uint64(c.config.Value())
	case nvme.PropCSTS:
		v = uint64(c.status)
	default:
		return 0, nvme.StatusInvalidField | nvme.DNR
	}
	if p.Wide != (p.Offset == nvme.PropCAP) {
		return 0, nvme.StatusInvalidField | nvme.DNR
	}
	return v, nvme.StatusSuccess
}

// setProperty writes CC, the only property that a host may write.
func (c *Controller) setProperty(cmd *nvme.Command) nvme.Status {
	p, st := cmd.Property()
	switch {
	case !st.OK():
		return st
	case p.Wide || p.Offset != nvme.PropCC:
		return nvme.StatusInvalidField | nvme.DNR
	}
	cfg := nvme.ParseConfig(uint32(p.Value))
	was := c.config
	c.config = cfg
	switch {
	case cfg.Enable && !was.Enable:
		if cfg.Page != 0 || cfg.Arbitrate != 0 || cfg.CommandSet != nvme.CommandSetNVM &&
			cfg.CommandSet != nvme.CommandSetAll && cfg.CommandSet != nvme.CommandSetNone ||
			!c.sub.discovery && (cfg.SQESize != nvme.DefaultSQESize || cfg.CQESize != nvme.DefaultCQESize) {
			c.status |= nvme.StatusFatal
			break
		}
		c.status = nvme.StatusReady
	case !cfg.Enable && was.Enable:
		c.reset()
	}
	if cfg.Shutdown != 0 && was.Shutdown == 0 {
		// What has been written is durable after a Flush that was answered, as
		// always: there is nothing to wait for.
		c.status |= nvme.StatusShutdownDone
	}
	return nvme.StatusSuccess
}

// reset ends all but the admin queue and the properties.
func (c *Controller) reset() {
	c.status = 0
	c.config = nvme.Config{}
	for _, s := range c.io {
		if s != nil {
			s.kill(errors.New("the controller was reset"))
		}
	}
	c.events.abort(c.admin)
	c.features = features{}
}

// end ends the controller with all its queues.
func (c *Controller) end(err error) {
	c.gone = true
	c.admin.kill(err)
	for _, s := range c.io {
		if s != nil {
			s.kill(err)
		}
	}
}

// setKeepAlive takes a timeout in ms, and rounds it up as Identify says.
func (c *Controller) setKeepAlive(ms uint32) {
	const most = 1 << 31 / keepAliveUnit * keepAliveUnit
	c.keepAlive = (min(ms, most) + keepAliveUnit - 1) / keepAliveUnit * keepAliveUnit
}

// tick looks whether the host is still there: each command counts, on any queue.
func (c *Controller) tick(now uint64) {
	if c.admin.alive || !c.admin.authenticated { // no Keep Alive comes before; AuthTimeout ends it
		c.admin.alive, c.lastSeen = false, now
	}
	for _, s := range c.io {
		if s != nil && s.alive {
			s.alive, c.lastSeen = false, now
		}
	}
	if c.keepAlive != 0 && now-c.lastSeen > uint64(c.keepAlive) {
		c.status |= nvme.StatusFatal
		c.end(fmt.Errorf("no command for %d ms: the keep alive timeout", now-c.lastSeen))
	}
}

// deliver answers Asynchronous Event Requests, if there are events.
func (c *Controller) deliver() { c.events.deliver(c.admin, &c.features) }
