package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/lockify-dlm/lockify/perf/load"
	"github.com/lockify-dlm/lockify/perf/proc"
)

// Pin is the processor that a process is kept on, from 0; Free for none.
type Pin int

// Free leaves a process to the kernel.
const Free Pin = -1

// wrap gives the command that runs another one pinned.
func (p Pin) wrap(command []string) ([]string, error) {
	if p == Free {
		return command, nil
	}
	path, err := exec.LookPath("taskset")
	if err != nil {
		return nil, errors.New("rig: to pin processes needs taskset (Debian: util-linux)")
	}
	return append([]string{path, "-c", strconv.Itoa(int(p))}, command...), nil
}

// start runs a command, pinned.
func (p Pin) start(name string, out func(io.Reader), command ...string) (*proc.Process, error) {
	all, err := p.wrap(command)
	if err != nil {
		return nil, err
	}
	return proc.Start(name, out, all[0], all[1:]...)
}

// Launcher starts client processes: Self is the command that runs Work with one more
// argument.
type Launcher struct {
	Self []string
	Pin  Pin
}

// Client is a client process. Stop ends it.
type Client struct {
	p    *proc.Process
	out  chan line
	addr string // Echo: where it listens
}

// Start starts a client.
func (l Launcher) Start(o Order) (*Client, error) {
	arg, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	c := &Client{out: make(chan line, 4)} // a client says no more
	c.p, err = l.Pin.start(o.System, func(r io.Reader) {
		defer close(c.out)
		lines := bufio.NewScanner(r)
		for lines.Buffer(nil, 1<<20); lines.Scan(); {
			var x line
			if json.Unmarshal(lines.Bytes(), &x) != nil {
				return
			}
			c.out <- x
		}
	}, append(l.Self[:len(l.Self):len(l.Self)], string(arg))...)
	return c, err
}

// Ready waits until the client can begin.
func (c *Client) Ready(ctx context.Context) error {
	x, err := c.next(ctx)
	c.addr = x.Addr
	return err
}

// Launch starts clients, and returns when all can begin: one for each order.
func (l Launcher) Launch(ctx context.Context, orders ...Order) (_ []*Client, err error) {
	var all []*Client
	defer func() {
		if err != nil {
			StopAll(all)
		}
	}()
	for _, o := range orders {
		c, err := l.Start(o)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	for _, c := range all {
		if err := c.Ready(ctx); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// StopAll ends clients.
func StopAll(all []*Client) {
	for _, c := range all {
		c.p.Stdin.Close() // all at the same time
	}
	for _, c := range all {
		c.Stop()
	}
}

// Begin has the client measure. It returns when that is warm.
func (c *Client) Begin(ctx context.Context, t Turn) error {
	if err := json.NewEncoder(c.p.Stdin).Encode(t); err != nil {
		return err
	}
	_, err := c.next(ctx)
	return err
}

// Turn has the client measure, and gives what it has found.
func (c *Client) Turn(ctx context.Context, t Turn) (*Round, error) {
	if err := c.Begin(ctx, t); err != nil {
		return nil, err
	}
	return c.Round(ctx)
}

// Round gives what it has measured.
func (c *Client) Round(ctx context.Context) (*Round, error) {
	for {
		x, err := c.next(ctx)
		if err != nil || x.Report != nil {
			return x.Report, err
		}
	}
}

// CPU gives the processor time of the process, in steps of 10 ms.
func (c *Client) CPU() (time.Duration, error) { return c.p.CPU() }

func (c *Client) next(ctx context.Context) (line, error) {
	select {
	case x, ok := <-c.out:
		if ok {
			return x, nil
		}
	case <-ctx.Done():
		return line{}, ctx.Err()
	}
	<-c.p.Ended
	return line{}, c.p.Failure()
}

const grace = 5 * time.Second

// Stop ends the client.
func (c *Client) Stop() { c.p.Stop(grace) }

// Measure starts a client, has it measure at its full depth, and ends it.
func (l Launcher) Measure(ctx context.Context, o Order, shape load.Shape) (*Round, error) {
	all, err := l.Launch(ctx, o)
	if err != nil {
		return nil, err
	}
	defer StopAll(all)
	return all[0].Turn(ctx, Turn{o.Depth, shape})
}

// MeasurePing measures the ping-pong over "unix" or "tcp".
func (l Launcher) MeasurePing(ctx context.Context, network string, shape load.Shape) (*Round, error) {
	o := Order{System: Echo, Addrs: []string{"tcp://127.0.0.1:0"}}
	if network == "unix" {
		dir, err := os.MkdirTemp("", "lockbench-echo-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		o.Addrs[0] = "unix://" + dir + "/echo"
	}
	echo, err := l.Launch(ctx, o)
	if err != nil {
		return nil, err
	}
	defer StopAll(echo)
	return l.Measure(ctx, Order{System: Ping, Addrs: []string{echo[0].addr}, Depth: 1}, shape)
}
