package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lockify-dlm/lockify"
	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/trace"
)

// Work is the body of a worker process: it takes its orders from in, answers
// on out, and returns when in ends.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &worker{out: newLines(out), config: make(chan *workerConfig, 1), proceed: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- readLines(in, w.line)
		cancel()
	}()
	err := w.run(ctx)
	if err != nil && ctx.Err() == nil {
		w.out.send(&line{T: lineError, Error: err.Error()})
	}
	if w.stop != nil {
		w.stop()
	}
	return errors.Join(err, <-ended)
}

type worker struct {
	out     *lines
	config  chan *workerConfig
	proceed chan struct{} // the coordinator says go
	driver  *driver
	node    *lockify.Node // embedded only
	stop    func()        // ends a profile
}

// line takes one of the coordinator's lines.
func (w *worker) line(l *line) {
	switch l.T {
	case lineConfig:
		w.config <- l.Config
	case lineGo:
		w.proceed <- struct{}{}
	case lineEvent:
		w.driver.remote(trace.Ref{Node: l.Node, Step: l.Step, Completed: l.Done})
	case lineStats:
		w.out.send(&line{T: lineStats, Stats: w.stats()})
	}
}

func (w *worker) run(ctx context.Context) error {
	var cfg *workerConfig
	select {
	case cfg = <-w.config:
	case <-ctx.Done():
		return nil
	}
	tr, err := trace.Load(cfg.Trace)
	if err != nil {
		return err
	}
	plan, err := trace.NewPlan(tr, trace.Options{Nodes: cfg.Nodes, Repeat: cfg.Repeat, Until: cfg.Until})
	if err != nil {
		return err
	}
	w.driver = newDriver(plan, cfg, w)
	space, closer, err := w.attach(ctx, cfg, valueSizeOf(cfg.Trace))
	if err != nil {
		return err
	}
	defer closer()
	w.driver.space = space
	w.out.send(&line{T: lineReady})
	if err := w.await(ctx); err != nil {
		return nil
	}
	if cfg.Profile != "" {
		if w.stop, err = perf.StartProfile(cfg.Profile, cfg.Dir); err != nil {
			return err
		}
	}
	if err := w.driver.run(ctx); err != nil {
		return err
	}
	w.out.send(&line{T: lineResult, Result: w.driver.result()})
	<-ctx.Done() // the others may still need our node
	return nil
}

// valueSizeOf gives the size of the file system's lock value blocks: GFS2 32
// bytes, OCFS2 64 (fs/gfs2, fs/ocfs2).
func valueSizeOf(name string) int {
	if len(name) >= 5 && name[:5] == "ocfs2" {
		return 64
	}
	return 32
}

// await waits for the coordinator's go.
func (w *worker) await(ctx context.Context) error {
	select {
	case <-w.proceed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// attach makes the lockspace that the program uses.
func (w *worker) attach(ctx context.Context, cfg *workerConfig, valueSize int) (*lockify.Lockspace, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if cfg.Socket != "" {
		c, err := lockify.Dial(ctx, cfg.Socket, lockify.WithName(fmt.Sprintf("replay-%d", cfg.Node)), lockify.OneSession())
		if err != nil {
			return nil, nil, err
		}
		s, err := c.Open(ctx, cfg.Trace, lockify.ValueSize(valueSize))
		return s, func() { c.Close() }, err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return nil, nil, err
	}
	c := lockify.Config{
		ID: uint16(cfg.Node), Cluster: "replay", Listen: cfg.Addrs[cfg.Node-1], Transport: cfg.Transport,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
	for i, addr := range cfg.Addrs {
		if i+1 != cfg.Node {
			c.Peers = append(c.Peers, lockify.Peer{ID: uint16(i + 1), Addr: addr, Delay: cfg.Delay})
		}
	}
	n, err := lockify.StartNode(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	closer := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		n.Close(ctx)
	}
	w.node = n
	if err := n.Ready(ctx); err != nil {
		closer()
		return nil, nil, fmt.Errorf("node %d: waiting for the other nodes: %w", cfg.Node, err)
	}
	s, err := n.Open(ctx, cfg.Trace, lockify.ValueSize(valueSize))
	return s, closer, err
}

func (w *worker) stats() *nodeStats {
	out := &nodeStats{}
	if w.node == nil {
		return out
	}
	st := w.node.Stats()
	for _, l := range st.Links {
		out.Frames += l.FramesOut
		out.Bytes += l.BytesOut
	}
	for _, sp := range st.Spaces {
		for t := range sp.Sent {
			out.Messages.Out[t] += sp.Sent[t]
			out.Messages.In[t] += sp.Received[t]
		}
		for _, sh := range sp.Shards {
			out.Claims.add(Claims{
				Made: sh.ClaimsMade, Confirmed: sh.ClaimsConfirmed, Adopted: sh.ClaimsAdopted, Lost: sh.ClaimsLost,
				Refused: sh.ClaimsRefused, Open: uint64(sh.ClaimsOpen), Resent: sh.NotifyResent, Nanos: sh.ClaimTimes.Nanos,
			})
			out.Held.Messages += sh.HeldTotal
			out.Held.Nanos += sh.HeldTimes.Nanos
		}
	}
	return out
}
