package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/lockify-dlm/lockify/blockdev"
)

// diskBench is a measurement.
type diskBench struct {
	op         string
	size       size
	depth      int
	rings      int
	duration   time.Duration
	sequential bool
	destroy    bool
	spin       time.Duration
}

func benchCommand(d *disk) *cobra.Command {
	b := diskBench{size: 4096}
	cmd := &cobra.Command{
		Use: "bench ADDR NQN", Short: "Measure how fast a disk is",
		Long: `bench keeps --depth requests under way on each of --rings connections, at random places
unless --sequential says otherwise, and prints how many were done and how long each
took. Writes destroy what is on the disk, and want --destroy.`,
		Example: `  lockctl disk bench 127.0.0.1 nqn.2025-01.com.example:disk --depth 128
  lockctl disk bench 127.0.0.1 nqn.2025-01.com.example:disk --op write --size 128K --sequential --destroy`,
		Args: d.target("ADDR", "NQN"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.check(); err != nil {
				return &exitStatus{exitUsage, err}
			}
			return d.bench(cmd.Context(), &b)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&b.op, "op", "read", "read or write")
	flags.Var(&b.size, "size", "`SIZE` of each request")
	flags.IntVar(&b.depth, "depth", 32, "`N` requests under way on each ring")
	flags.IntVar(&b.rings, "rings", 1, "`N` rings, each with a connection and a thread")
	flags.DurationVar(&b.duration, "duration", 5*time.Second, "measure for `TIME`")
	flags.BoolVar(&b.sequential, "sequential", false, "one place after the other")
	flags.BoolVar(&b.destroy, "destroy", false, "what is on the disk may be destroyed")
	flags.DurationVar(&b.spin, "spin", 0, "look for answers for `TIME` before sleeping")
	return cmd
}

func (b *diskBench) check() error {
	switch {
	case b.op != "read" && b.op != "write":
		return fmt.Errorf("--op %s: want read or write", b.op)
	case b.op == "write" && !b.destroy:
		return errors.New("--op write destroys what is on the disk: say --destroy if that is all right")
	case b.depth < 1 || b.depth > blockdev.MaxDepth:
		return fmt.Errorf("--depth %d, want 1 to %d", b.depth, blockdev.MaxDepth)
	case b.rings < 1 || b.rings > 64:
		return fmt.Errorf("--rings %d, want 1 to 64", b.rings)
	case b.duration <= 0 || b.size <= 0:
		return fmt.Errorf("--duration %v, --size %v: want more than nothing", b.duration, &b.size)
	}
	return nil
}

// diskResult is what bench shows.
type diskResult struct {
	Op      string  `json:"op"`
	Size    int64   `json:"bytes"`
	Depth   int     `json:"depth"`
	Rings   int     `json:"rings"`
	Seconds float64 `json:"seconds"`
	Done    int64   `json:"requests"`
	IOPS    float64 `json:"iops"`
	Rate    float64 `json:"bytes_per_second"`
	P50     float64 `json:"p50_us"`
	P99     float64 `json:"p99_us"`
	Max     float64 `json:"max_us"`
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, int64(time.Hour), 3) }

func (d *disk) bench(ctx context.Context, b *diskBench) (err error) {
	d.cfg.Queues = b.rings
	dev, err := d.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	if int64(b.size) > dev.Info().Size || int64(b.size)*int64(b.depth) > 4<<30 {
		return fmt.Errorf("%d requests of %v do not fit: the disk has %d bytes, and buffers may take 4G", b.depth, &b.size, dev.Info().Size)
	}
	loads := make([]*load, b.rings)
	for i := range loads {
		ring, err := dev.NewRing(ctx, blockdev.RingConfig{Depth: b.depth, Spin: b.spin})
		if err != nil {
			return err
		}
		defer ring.Close()
		loads[i] = &load{b: b, ring: ring, times: newHistogram(), at: int64(i) * (dev.Info().Size / int64(b.rings))}
	}
	begin := time.Now()
	var wg sync.WaitGroup
	for _, l := range loads {
		wg.Go(func() { l.err = l.run(ctx, begin.Add(b.duration)) })
	}
	wg.Wait()
	took := time.Since(begin).Seconds()
	all := newHistogram()
	for _, l := range loads {
		if l.err != nil {
			return l.err
		}
		all.Merge(l.times)
	}
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	n := all.TotalCount()
	r := diskResult{
		Op: b.op, Size: int64(b.size), Depth: b.depth, Rings: b.rings, Seconds: took, Done: n, IOPS: float64(n) / took,
		Rate: float64(n) * float64(b.size) / took, P50: us(all.ValueAtQuantile(50)), P99: us(all.ValueAtQuantile(99)), Max: us(all.Max()),
	}
	if d.json {
		return d.printJSON(r)
	}
	return printBench(d.stdout, &r)
}

func printBench(w io.Writer, r *diskResult) error {
	_, err := fmt.Fprintf(w, "%s %s, depth %d, rings %d, %.1f s: %.0f IOPS, %s/s, p50 %.0f us, p99 %.0f us, max %.0f us\n",
		r.Op, formatSize(r.Size), r.Depth, r.Rings, r.Seconds, r.IOPS, roughSize(r.Rate), r.P50, r.P99, r.Max)
	return err
}

// load keeps one ring busy.
type load struct {
	b     *diskBench
	ring  *blockdev.Ring
	times *hdrhistogram.Histogram
	at    int64 // of a sequential one: bytes
	err   error
}

func (l *load) run(ctx context.Context, end time.Time) error {
	n, info := int(l.b.size), l.ring.Info()
	buf := blockdev.Alloc(n*l.b.depth, 4096)
	begun := make([]time.Time, l.b.depth)
	free := make([]int, l.b.depth)
	for i := range free {
		free[i] = i
	}
	for l.ring.Pending() > 0 || time.Now().Before(end) {
		now := time.Now()
		for now.Before(end) && len(free) > 0 {
			slot := free[len(free)-1]
			free = free[:len(free)-1]
			s := l.ring.GetSQE()
			if s.PrepRead(l.place(&info), buf[slot*n:][:n]); l.b.op == "write" {
				s.Op = blockdev.Write
			}
			s.UserData = uint64(slot)
			begun[slot] = now
		}
		if _, err := l.ring.Submit(); err != nil {
			return err
		}
		if err := l.ring.Wait(ctx, 1); err != nil {
			return err
		}
		now = time.Now()
		for c, ok := l.ring.Peek(); ok; c, ok = l.ring.Peek() {
			if c.Status != blockdev.OK {
				return c.Status
			}
			_ = l.times.RecordValue(int64(now.Sub(begun[c.UserData]))) // over an hour: not counted
			free = append(free, int(c.UserData))
		}
	}
	return nil
}

// place is where the next request goes.
func (l *load) place(info *blockdev.Info) int64 {
	if l.b.sequential {
		if l.at > info.Size-int64(l.b.size) {
			l.at = 0
		}
		at := l.at / int64(info.BlockSize) * int64(info.BlockSize)
		l.at = at + int64(l.b.size)
		return at
	}
	blocks := (info.Size-int64(l.b.size))/int64(info.BlockSize) + 1
	per := max(1, int64(l.b.size)/int64(info.BlockSize))
	return rand.Int64N((blocks+per-1)/per) * per * int64(info.BlockSize)
}
