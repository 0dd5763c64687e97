package member

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/cluster/agent"
	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/address"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/internal/sharedisk"
	"github.com/lockify-dlm/lockify/wire"
)

// Config says how a node takes part.
type Config struct {
	ID         uint16
	Cluster    string        // name that all nodes share
	Addr       string        // where other nodes reach this one
	NewCluster bool          // make a cluster if Data has none
	Join       []string      // where nodes of the cluster listen
	Data       *Data         // nil: the node has no vote
	Lease      time.Duration // of a new cluster; all nodes should know it
	Voters     int           // of a new cluster
	// FenceCommand ends a silent node, "": there is none. The shell runs it with
	// LOCKIFY_NODE and LOCKIFY_INSTANCE set; status 0 says that the node surely does
	// nothing any more.
	FenceCommand string
	Transport    engine.Transport // that the node has; nil: the plain one
	Disks        []sharedisk.Disk // that nodes are kept from; all nodes have the same
	Logger       *slog.Logger
}

// Part is a node's part in the agreement. It lives as long as the process, through
// several starts of the node.
type Part struct {
	agent  *agent.Agent
	mailer *engine.Mailer
	disks  *sharedisk.Set // nil: none
	gone   <-chan error   // the registration of the present start of the node
}

// Open takes the part.
func Open(cfg Config) (*Part, error) {
	if cfg.Addr != "" { // else the agent refuses it
		if err := address.CheckDial(cfg.Addr); err != nil {
			return nil, fmt.Errorf("%w: other nodes cannot reach this one at %q: %w", cluster.ErrInvalid, cfg.Addr, err)
		}
	}
	terms := cluster.DefaultTerms()
	terms.Lease = int64(cfg.Lease)
	p := &Part{mailer: engine.NewMailer(cfg.Transport, cfg.Logger)}
	c := agent.Config{
		ID: cfg.ID, Cluster: cfg.Cluster, Addr: cfg.Addr, Found: cfg.NewCluster, Join: cfg.Join,
		Terms: terms, Voters: cfg.Voters, Mail: node.Mailer{Mailer: p.mailer}, Features: wire.Features, Logger: cfg.Logger,
	}
	if len(cfg.Disks) > 0 {
		p.disks = sharedisk.New(cfg.Disks, cfg.Logger)
		c.Bar = p.disks.Bar
	}
	if cfg.Data != nil {
		c.Store = filepath.Join(cfg.Data.path, storeName)
	}
	if cfg.FenceCommand != "" {
		c.Fence = fenceBy(cfg.FenceCommand)
	}
	var err error
	if p.agent, err = agent.Open(c); err != nil {
		p.closeRest()
		return nil, err
	}
	return p, nil
}

// Serve lets a node that starts with c take part.
func (p *Part) Serve(c *node.Config) {
	c.Join, c.Mail, c.Failure = p.agent.Join, p.agent.Receive, p.agent.Failure
}

// Raft gives who leads, and whose votes count by now; see agent.Agent.Raft.
func (p *Part) Raft() (leader uint16, voting []uint16) { return p.agent.Raft() }

// Bars gives whom this node keeps from what the nodes share; see agent.Agent.Bars.
func (p *Part) Bars() map[uint64]string { return p.agent.Bars() }

// Outside says why this node is not let in; see agent.Agent.Outside.
func (p *Part) Outside() string { return p.agent.Outside() }

// Failed is closed when this node's vote has failed; see agent.Agent.Failed.
func (p *Part) Failed() <-chan struct{} { return p.agent.Failed() }

// Failure says why, nil: it has not.
func (p *Part) Failure() error { return p.agent.Failure() }

// Close ends it, after the node.
func (p *Part) Close() error {
	err := p.agent.Close()
	p.closeRest()
	return err
}

func (p *Part) closeRest() {
	p.mailer.Close()
	if p.disks != nil {
		p.disks.Close()
	}
}

// fenceTime bounds a fence command.
const fenceTime = time.Minute

func fenceBy(command string) func(context.Context, uint64) error {
	return func(ctx context.Context, instance uint64) error {
		ctx, cancel := context.WithTimeout(ctx, fenceTime)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Env = append(os.Environ(), fmt.Sprintf("LOCKIFY_NODE=%d", cluster.NodeOf(instance)), fmt.Sprintf("LOCKIFY_INSTANCE=%#x", instance))
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("fence command: %w: %.300s", err, out)
		}
		return nil
	}
}
