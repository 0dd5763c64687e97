package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

// Options shape a run.
type Options struct {
	Duration time.Duration // at least, and until there was harm of both sorts
	Epoch    time.Duration // from one check of everything to the next
	Seed     uint64        // of what is done; not of when
	Mean     int64         // bytes of a connection from harm to harm, on average; 0: 32 MiB
	// Device puts something in front of the memory; nil: nothing.
	Device   func(blockdev.Device) (blockdev.Device, error)
	Progress func(Stats) // called after each epoch; may be nil
}

// Stats are what was done.
type Stats struct {
	Epochs   int   `json:"epochs"`
	Requests int64 `json:"requests"`
	Bytes    int64 `json:"bytes"`
	Checked  int64 `json:"blocks_checked"`
	Lost     int64 `json:"writes_lost"` // nobody knew their outcome
	Cuts     int64 `json:"cuts"`        // connections that were broken
	Bits     int64 `json:"bits"`        // turned over
}

func (s *Stats) add(o Stats) {
	s.Requests += o.Requests
	s.Bytes += o.Bytes
	s.Checked += o.Checked
	s.Lost += o.Lost
}

const (
	subNQN   = "nqn.2025-01.io.lockify:soak"
	defMean  = 32 << 20
	sides    = 2 // a host with digests, and one without
	perSide  = 2 // rings
	openTime = 30 * time.Second
)

// soak is a run.
type soak struct {
	o       Options
	proxies [sides]*proxy
	workers [sides * perSide]*worker
	stats   Stats
}

// Run does it. The first mismatch ends it, as an error.
func Run(ctx context.Context, o Options) (Stats, error) {
	if o.Duration <= 0 || o.Epoch <= 0 || o.Mean < 0 {
		return Stats{}, fmt.Errorf("soak: %v by epochs of %v, harm after %d bytes: must not be negative, nor no time at all", o.Duration, o.Epoch, o.Mean)
	}
	if o.Mean == 0 {
		o.Mean = defMean
	}
	s := &soak{o: o}
	mem, err := blockdev.NewMemory(sides*perSide*perOwner*blockSize, 512)
	if err != nil {
		return Stats{}, err
	}
	dev := blockdev.Device(mem)
	if o.Device != nil {
		if dev, err = o.Device(mem); err != nil {
			return Stats{}, err
		}
		defer dev.Close()
	}
	srv, err := target.New(target.Config{})
	if err != nil {
		return Stats{}, err
	}
	defer srv.Close()
	if err = srv.AddSubsystem(target.Subsystem{
		SubsystemConfig: core.SubsystemConfig{NQN: subNQN, AnyHost: true},
		Namespaces:      []core.NamespaceConfig{{NSID: 1, Device: dev}},
	}); err != nil {
		return Stats{}, err
	}
	_, addr, err := srv.Listen(ctx, "127.0.0.1:0", "")
	if err != nil {
		return Stats{}, err
	}
	for i := range s.proxies {
		if s.proxies[i], err = newProxy(addr.String(), i == 0, o.Mean); err != nil {
			return Stats{}, err
		}
		defer s.proxies[i].close()
	}
	for i := range s.workers {
		s.workers[i] = newWorker(fmt.Sprintf("worker %d", i), uint64(i*perOwner), o.Seed)
	}
	return s.run(ctx)
}

func (s *soak) run(ctx context.Context) (Stats, error) {
	for begin := time.Now(); ; {
		if err := s.epoch(ctx); err != nil {
			return s.stats, err
		}
		if s.o.Progress != nil {
			s.o.Progress(s.stats)
		}
		if time.Since(begin) >= s.o.Duration && s.stats.Cuts > 0 && s.stats.Bits > 0 {
			return s.stats, nil
		}
	}
}

// epoch runs all workers for a while, and checks everything.
func (s *soak) epoch(ctx context.Context) error {
	end := time.Now().Add(s.o.Epoch)
	err := s.sides(ctx, false, func(ctx context.Context, dev *host.Device, w *worker) error {
		ring, err := dev.NewRing(ctx, blockdev.RingConfig{Depth: depth})
		if err != nil {
			return err
		}
		defer ring.Close()
		return w.run(ctx, ring, func() bool { return time.Now().Before(end) })
	})
	if err == nil {
		err = s.sides(ctx, true, func(ctx context.Context, dev *host.Device, w *worker) error {
			io, err := blockdev.NewIO(ctx, dev)
			if err != nil {
				return err
			}
			return errors.Join(w.settle(io), io.Close())
		})
	}
	s.stats = Stats{Epochs: s.stats.Epochs + 1}
	for _, w := range s.workers {
		s.stats.add(w.stats)
	}
	for _, p := range s.proxies {
		s.stats.Cuts += p.cuts.Load()
		s.stats.Bits += p.bits.Load()
	}
	return err
}

// sides opens a host on each side, and has its workers do something; no connection is
// left when it returns.
func (s *soak) sides(ctx context.Context, calm bool, do func(context.Context, *host.Device, *worker) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	errs := make([]error, sides)
	var wg sync.WaitGroup
	for i, p := range s.proxies {
		wg.Go(func() {
			p.calm.Store(calm)
			if errs[i] = s.side(ctx, i, do); errs[i] != nil {
				cancel(errs[i]) // of the others, who would say no more than that
			}
			p.settled()
		})
	}
	wg.Wait()
	var wrong *mismatch
	for _, err := range errs {
		if errors.As(err, &wrong) {
			return err
		}
	}
	return context.Cause(ctx)
}

func (s *soak) side(ctx context.Context, i int, do func(context.Context, *host.Device, *worker) error) error {
	dev, err := s.open(ctx, i)
	if err != nil {
		return err
	}
	errs := make([]error, perSide)
	var wg sync.WaitGroup
	for j := range errs {
		wg.Go(func() { errs[j] = do(ctx, dev, s.workers[i*perSide+j]) })
	}
	wg.Wait()
	return errors.Join(append(errs, dev.Close())...)
}

// open connects, as often as harm makes it necessary.
func (s *soak) open(ctx context.Context, i int) (*host.Device, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	for {
		dev, err := host.Open(ctx, host.Config{
			Addr: s.proxies[i].addr(), SubNQN: subNQN, Queues: perSide + 1, HeaderDigest: i == 0, DataDigest: i == 0,
		})
		if err == nil || ctx.Err() != nil {
			return dev, err
		}
	}
}
