package recovery

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/internal/admin"
	"github.com/lockify-dlm/lockify/perf/proc"
)

// node is a daemon, and the client of the programs there.
type node struct {
	daemon *proc.Process
	addr   string // where it answers people
	admin  *admin.Client
	client *lockify.Client
	space  *lockify.Lockspace
}

// cluster is n daemons that have joined each other.
type cluster struct {
	dir   string
	nodes []*node // by number, from 0; the ids are one higher
}

const spaceName = "recovery"

// startCluster starts n daemons, and a client at each.
func startCluster(ctx context.Context, o *Options, n int) (c *cluster, err error) {
	path, err := proc.DaemonPath(o.Daemon)
	if err != nil {
		return nil, err
	}
	addrs, err := proc.FreeAddrs(2 * n)
	if err != nil {
		return nil, err
	}
	c = &cluster{}
	if c.dir, err = os.MkdirTemp("", "lockbench-recovery-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	for i := range n {
		if err := c.add(ctx, o, path, addrs[0], addrs[i], addrs[n+i]); err != nil {
			return nil, err
		}
	}
	for i, nd := range c.nodes {
		if err := c.joined(ctx, nd, n); err != nil {
			return nil, err
		}
		if nd.client, err = lockify.Dial(ctx, c.socket(i)); err != nil {
			return nil, err
		}
		if nd.space, err = nd.client.Open(ctx, spaceName); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *cluster) socket(i int) string {
	return "unix://" + filepath.Join(c.dir, fmt.Sprintf("n%d.sock", i+1))
}

// add starts the next daemon and returns when it is ready.
func (c *cluster) add(ctx context.Context, o *Options, path, first, listen, adminAddr string) error {
	i := len(c.nodes)
	args := []string{
		"--id", fmt.Sprint(i + 1), "--cluster", "recovery", "--listen", listen, "--admin", adminAddr, "--lease", o.Lease.String(),
		"--clients", c.socket(i), "--data", filepath.Join(c.dir, fmt.Sprintf("data%d", i+1)), "--log-level", "error",
	}
	if i == 0 {
		args = append(args, "--new-cluster")
	} else {
		args = append(args, "--join", first)
	}
	client, err := admin.NewClient(adminAddr)
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	p, err := proc.Start(fmt.Sprintf("lockifyd %d", i+1), func(r io.Reader) {
		proc.ReadUntil(r, "ready")
		close(ready)
	}, path, args...)
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, &node{daemon: p, addr: adminAddr, admin: client})
	select {
	case <-ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-p.Ended:
		return p.Failure()
	default:
		return nil
	}
}

// joined waits until a node has links to all others.
func (c *cluster) joined(ctx context.Context, nd *node, n int) error {
	return until(ctx, func() (bool, error) {
		m, err := nd.admin.Members(ctx)
		if err != nil {
			return false, err
		}
		up := 0
		for i := range m.Members {
			if m.Members[i].Link != "down" {
				up++
			}
		}
		return up == n, nil
	})
}

// pollEvery is how often the state of the cluster is asked for.
const pollEvery = 3 * time.Millisecond

func until(ctx context.Context, ok func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if done, err := ok(); done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop ends all, and removes what they have left.
func (c *cluster) stop() {
	for _, nd := range c.nodes {
		if nd.client != nil {
			nd.client.Close()
		}
		nd.daemon.Kill()
	}
	os.RemoveAll(c.dir)
}

// counts are what has gone between nodes, and what was lost.
type counts struct{ messages, bytes, lost uint64 }

// counts adds up what the first n nodes have sent to each other.
func (c *cluster) counts(ctx context.Context, n int) (t counts, err error) {
	for _, nd := range c.nodes[:n] {
		st, err := nd.admin.Status(ctx)
		if err != nil {
			return t, err
		}
		for i := range st.Links {
			if l := &st.Links[i]; int(l.Peer) <= n {
				t.bytes += l.BytesOut
			}
		}
		t.lost += st.Totals.LocksLost
		ct, err := nd.admin.Counters(ctx)
		if err != nil {
			return t, err
		}
		for _, k := range ct.Sent {
			t.messages += k
		}
	}
	return t, nil
}

// cpu adds up what the first n nodes have used of the processors.
func (c *cluster) cpu(n int) (all time.Duration, err error) {
	for _, nd := range c.nodes[:n] {
		used, err := nd.daemon.CPU()
		if err != nil {
			return 0, err
		}
		all += used
	}
	return all, nil
}

// heap gives the bytes of heap that a daemon uses, after a collection.
func (nd *node) heap(ctx context.Context) (bytes float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+nd.addr+"/debug/pprof/heap?gc=1&debug=1", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	const field = "# HeapAlloc = "
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), field); ok {
			_, err := fmt.Sscan(text, &bytes)
			return bytes, err
		}
	}
	return 0, fmt.Errorf("recovery: %s: no heap size in the answer (%s)", nd.addr, resp.Status)
}
