package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// daemons are the processes, node n is [n-1].
type daemons struct {
	cfg *Config
	net *network
	dir string
	all []*daemon
}

type daemon struct {
	id   int
	data string
	sock string
	log  string
	cmd  *exec.Cmd // nil: it does not run
	wait func() error
}

const port = 7540

// startDaemons starts all nodes; the first one makes the cluster.
func startDaemons(cfg *Config, w *network, dir string) (*daemons, error) {
	ds := &daemons{cfg: cfg, net: w, dir: dir}
	for n := 1; n <= cfg.Nodes; n++ {
		at := func(kind string) string { return filepath.Join(dir, fmt.Sprintf("n%d.%s", n, kind)) }
		ds.all = append(ds.all, &daemon{id: n, data: at("data"), sock: at("sock"), log: at("log")})
	}
	for n := 1; n <= cfg.Nodes; n++ {
		if err := ds.start(n, n == 1); err != nil {
			ds.end()
			return nil, err
		}
	}
	return ds, nil
}

// start starts a node's daemon.
func (ds *daemons) start(n int, found bool) error {
	d := ds.all[n-1]
	args := []string{
		"--id", fmt.Sprint(n), "--data", d.data, "--listen", ds.addr(n), "--allow-plaintext-network", "--clients", "unix://" + d.sock,
		"--admin", "off", "--log-level", ds.cfg.LogLevel, "--lease", ds.cfg.Lease.String(), "--close-after", "300ms", "--voters", fmt.Sprint(ds.cfg.Nodes),
	}
	if found {
		args = append(args, "--new-cluster")
	} else {
		var others []string
		for m := 1; m <= ds.cfg.Nodes; m++ {
			if m != n {
				others = append(others, ds.addr(m))
			}
		}
		args = append(args, "--join", strings.Join(others, ","))
	}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(ds.cfg.Daemon, args...)
	cmd.Stdout, cmd.Stderr = log, log
	wait, err := ds.net.start(n, cmd)
	if err != nil {
		return fmt.Errorf("node %d: %w", n, err)
	}
	d.cmd, d.wait = cmd, wait
	return nil
}

func (ds *daemons) addr(n int) string { return fmt.Sprintf("%s:%d", ds.net.ip(n), port) }

// signal sends a signal to a node's daemon.
func (ds *daemons) signal(n int, s syscall.Signal) error {
	if err := ds.all[n-1].cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("node %d: %w", n, err)
	}
	return nil
}

// kill ends a node's daemon at once, and waits until it has. It is an error if it
// had ended by itself.
func (ds *daemons) kill(n int) error {
	d := ds.all[n-1]
	if d.cmd == nil {
		return nil
	}
	_ = d.cmd.Process.Kill() // it may have ended
	_ = d.wait()
	st := d.cmd.ProcessState
	d.cmd = nil
	if ws, ok := st.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		return fmt.Errorf("node %d had ended by itself: %s", n, st)
	}
	return nil
}

// wipe removes what a node that does not run has stored.
func (ds *daemons) wipe(n int) error { return os.RemoveAll(ds.all[n-1].data) }

// end kills all.
func (ds *daemons) end() (errs []error) {
	for _, d := range ds.all {
		if err := ds.kill(d.id); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}
