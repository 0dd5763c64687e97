package agent

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/cluster/clustertest"
)

// backend is a cluster of agents; the first has the only vote.
type backend struct {
	net *network
	dir string

	mu     sync.Mutex
	agents map[uint16]*Agent
}

func (b *backend) Join(t *testing.T, instance uint64, h cluster.Handler) cluster.Provider {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	id := cluster.NodeOf(instance)
	a := b.agents[id]
	if a == nil {
		addr := fmt.Sprint("node:", id)
		cfg := Config{
			ID: id, Cluster: "test", Addr: addr, Mail: port{b.net, addr}, Logger: slog.New(slog.DiscardHandler),
			Terms: cluster.Terms{Lease: 2e9, DriftPPM: 1000, Margin: 20e6}, Voters: 1, Join: []string{"node:1"},
		}
		if id == 1 {
			cfg.Found, cfg.Join, cfg.Store = true, nil, filepath.Join(b.dir, "store")
		}
		var err error
		if a, err = Open(cfg); err != nil {
			t.Fatal(err)
		}
		b.agents[id] = a
		b.net.mu.Lock()
		b.net.agents[addr] = a
		b.net.mu.Unlock()
	}
	p, err := a.Join(instance, h)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *backend) Cut(id uint16, cut bool) { b.net.setCut(fmt.Sprint("node:", id), cut) }

// TestConformance: an agent is a provider like others.
func TestConformance(t *testing.T) {
	t.Parallel()
	clustertest.Run(t, func(t *testing.T) clustertest.Backend {
		b := &backend{net: newNetwork(), dir: t.TempDir(), agents: map[uint16]*Agent{}}
		t.Cleanup(func() {
			for _, a := range b.agents {
				if err := a.Close(); err != nil {
					t.Error(err)
				}
			}
		})
		return b
	})
}
