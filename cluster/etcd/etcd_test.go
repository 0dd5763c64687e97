package etcd

import (
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/cluster/clustertest"
	"github.com/lockify-dlm/lockify/internal/etcdtest"
)

// TestMain has more tests run at a time than there are processors: they wait for the ends
// of leases.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "10"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// backend is a cluster of lockify in an etcd server, each node behind a proxy.
type backend struct {
	t    *testing.T
	addr string
	cfg  Config

	mu      sync.Mutex
	proxies map[uint16]*proxy
}

var clusters atomic.Int64

func newBackend(t *testing.T, s *etcdtest.Server) *backend {
	return &backend{
		t: t, addr: s.Addr, proxies: map[uint16]*proxy{},
		cfg: Config{
			Cluster: fmt.Sprint("c", clusters.Add(1)), Addr: "127.0.0.1:1",
			// etcd ends a node that was silent for half of it, as one on a busy machine may be for 2 s.
			Terms: cluster.Terms{Lease: 6e9, DriftPPM: 1000, Margin: 20e6},
		},
	}
}

func (b *backend) proxy(id uint16) *proxy {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.proxies[id] == nil {
		b.proxies[id] = newProxy(b.t, b.addr)
	}
	return b.proxies[id]
}

func (b *backend) Join(t *testing.T, instance uint64, h cluster.Handler) cluster.Provider {
	t.Helper()
	cfg := b.cfg
	cfg.Endpoints = []string{"http://" + b.proxy(cluster.NodeOf(instance)).addr}
	p, err := Join(cfg, instance, h)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (b *backend) Cut(id uint16, cut bool) { b.proxy(id).setCut(cut) }

func TestConformance(t *testing.T) {
	server := etcdtest.Start(t)
	clustertest.Run(t, func(t *testing.T) clustertest.Backend { return newBackend(t, server) })
}
