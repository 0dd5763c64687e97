package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/auth"
)

// Config says which controller is wanted, and how to speak with it. Addr and SubNQN
// are needed; the rest has defaults.
type Config struct {
	Addr    string   // host:port; the port is 4420 if it is missing
	SubNQN  string   // the subsystem; nvme.DiscoveryNQN for a discovery controller
	HostNQN string   // this host; made of HostID if it is empty
	HostID  [16]byte // this host; random if it is zero

	NSID         uint32 // the only namespace that is of interest; 0: all
	Queues       int    // I/O queues at most, each for a ring: 1 to 1024; 0 stands for 16
	HeaderDigest bool   // CRC32C of headers, both ways
	DataDigest   bool   // CRC32C of data, both ways

	// Secret is this host's, for controllers that want authentication (DH-HMAC-CHAP).
	Secret auth.Secret
	// ControllerSecret is the controller's: it has to prove that it knows it. It needs
	// Secret.
	ControllerSecret auth.Secret
	// Auth is which hashes and groups are offered then, preferred ones first.
	Auth auth.Choice

	// KeepAlive is the time after which host and controller take each other for dead
	// if they have heard nothing: 1 s at least; 0 stands for 5 s, negative for never.
	// It is in whole milliseconds. A controller may round it up.
	KeepAlive time.Duration
	// Retry is how long a lost controller is looked for, from the loss on, before
	// everything that waits for it fails: 0 stands for a minute, negative for no time.
	Retry time.Duration
	// Notify is called, one call at a time, when a connection is lost or made again,
	// and at events that the controller tells of. It must not block. May be nil.
	Notify func(Event)
}

// Event is something that happens to a controller.
type Event struct {
	Kind  EventKind
	Err   error           // Lost, Refused, GaveUp: why
	Async nvme.AsyncEvent // Told: what
}

// EventKind is a kind of Event.
type EventKind uint8

const (
	Lost     EventKind = iota + 1 // the connection broke; it is being made again
	Refused                       // an attempt to make it again has failed; more follow
	Restored                      // it is there again
	GaveUp                        // it was not to be had within Config.Retry
	Told                          // an event that the controller tells of
)

func (k EventKind) String() string {
	return [...]string{"event 0", "lost", "refused", "restored", "gave up", "told"}[min(k, Told)]
}

const (
	defaultPort   = "4420"
	maxQueues     = 1024
	defaultQueues = 16
	defaultKeep   = 5 * time.Second
	defaultRetry  = time.Minute
	adminEntries  = 32 // of the admin queue
	adminCommands = adminEntries - 1
)

// discovery says whether it is a discovery controller.
func (c *Config) discovery() bool { return c.SubNQN == nvme.DiscoveryNQN }

// complete gives c with defaults in place of what is missing, or says what is wrong.
func (c Config) complete() (Config, error) {
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		c.Addr = net.JoinHostPort(c.Addr, defaultPort)
	}
	if err := nvme.CheckNQN(c.SubNQN); err != nil {
		return c, fmt.Errorf("subsystem: %w", err)
	}
	if c.HostID == [16]byte{} {
		_, _ = rand.Read(c.HostID[:]) // it never fails
		c.HostID[6], c.HostID[8] = c.HostID[6]&0x0f|0x40, c.HostID[8]&0x3f|0x80
	}
	if c.HostNQN == "" {
		c.HostNQN = nvme.UUIDName(c.HostID)
	}
	if err := nvme.CheckNQN(c.HostNQN); err != nil {
		return c, fmt.Errorf("this host: %w", err)
	}
	if !c.ControllerSecret.IsZero() && c.Secret.IsZero() {
		return c, errors.New("nvme: the controller's secret, but none of this host, which has to authenticate itself first")
	}
	if err := c.Auth.Check(); err != nil {
		return c, err
	}
	switch {
	case c.KeepAlive == 0:
		c.KeepAlive = defaultKeep
	case c.KeepAlive > 0 && c.KeepAlive < time.Second:
		return c, fmt.Errorf("nvme: keep alive %v: must be 1 s at least", c.KeepAlive)
	}
	if c.Retry == 0 {
		c.Retry = defaultRetry
	}
	if c.Queues == 0 {
		c.Queues = defaultQueues
	}
	if c.Queues < 1 || c.Queues > maxQueues {
		return c, fmt.Errorf("nvme: %d I/O queues: must be 1 to %d", c.Queues, maxQueues)
	}
	return c, nil
}
