package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/perf/proc"
)

// ErrMissing is wrapped by errors about servers that are not installed.
var ErrMissing = errors.New("not installed")

// Programs says where servers are; empty: in PATH, and lockifyd beside this program.
type Programs struct {
	Lockifyd, Redis, Etcd, NATS string
	ZooKeeper                   string // directory of ZooKeeper's jar files; empty: /usr/share/java

	Profile, ProfileDir string // each lockifyd takes a profile of this kind, below this directory; empty: none
}

// Server is a service that runs: one process or several.
type Server struct {
	Addrs     []string // where clients connect
	Processes []*proc.Process
	dir       string
}

// Stop ends the processes and removes their data.
func (s *Server) Stop() {
	for _, p := range s.Processes {
		p.Signal(os.Interrupt)
	}
	for _, p := range s.Processes {
		p.Stop(grace)
	}
	os.RemoveAll(s.dir)
}

// newServer makes a server without processes, and its directory.
func newServer() (*Server, error) {
	dir, err := os.MkdirTemp("", "lockbench-")
	return &Server{dir: dir}, err
}

func (s *Server) path(parts ...string) string {
	return filepath.Join(append([]string{s.dir}, parts...)...)
}

// add starts one of the processes.
func (s *Server) add(pin Pin, name string, command ...string) error {
	p, err := pin.start(name, proc.Discard, command...)
	if err == nil {
		s.Processes = append(s.Processes, p)
	}
	return err
}

// startTries bounds how long a server may take to begin: 10 ms each.
const startTries = 3000

// await waits until all addresses accept connections.
func (s *Server) await(ctx context.Context, addrs ...string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for tries := 0; len(addrs) > 0; {
		network, addr, ok := strings.Cut(addrs[0], "://")
		if !ok {
			network, addr = "tcp", addrs[0]
		}
		c, err := net.Dial(network, addr)
		if err == nil {
			c.Close()
			addrs = addrs[1:]
			continue
		}
		for _, p := range s.Processes {
			select {
			case <-p.Ended:
				return p.Failure()
			default:
			}
		}
		if tries++; tries == startTries {
			return fmt.Errorf("rig: no server at %s: %w", addrs[0], err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// started gives the server, or ends what there is of it.
func (s *Server) started(err error) (*Server, error) {
	if err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}
