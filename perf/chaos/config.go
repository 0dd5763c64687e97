package chaos

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// Config says what a run is. Zero values mean what is said of them.
type Config struct {
	Daemon   string        // path of lockifyd
	Out      string        // directory for what tells of a failure; made when there is one
	Seed     uint64        // of the faults and of what clients ask for
	Duration time.Duration // of load and faults, from 5 s on
	Nodes    int           // 3, 5 or 7, which all vote; 0: 5
	Clients  int           // of each node, 1 to 16; 0: 2
	Workers  int           // of each client, 1 to 16; 0: 2
	Lease    time.Duration // from 200 ms on; 0: 1 s
	LogLevel string        // of the daemons; "": info
	Progress io.Writer     // what is done, line by line; nil: nobody wants to know
}

func (c *Config) check() error {
	def := func(v *int, n int) {
		if *v == 0 {
			*v = n
		}
	}
	def(&c.Nodes, 5)
	def(&c.Clients, 2)
	def(&c.Workers, 2)
	if c.Lease == 0 {
		c.Lease = time.Second
	}
	if c.LogLevel == "" {
		c.LogLevel = "info"
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("chaos: "+format, args...))
		}
	}
	bad(c.Daemon == "", "no lockifyd given")
	bad(c.Duration < 5*time.Second, "a duration of %v, want at least 5 s", c.Duration)
	bad(c.Nodes < 3 || c.Nodes > 7 || c.Nodes%2 == 0, "%d nodes, want 3, 5 or 7", c.Nodes)
	bad(c.Clients < 1 || c.Clients > 16, "%d clients a node, want 1 to 16", c.Clients)
	bad(c.Workers < 1 || c.Workers > 16, "%d workers a client, want 1 to 16", c.Workers)
	bad(c.Lease < 200*time.Millisecond, "a lease of %v, want at least 200 ms", c.Lease)
	return errors.Join(errs...)
}
