package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/lockify-dlm/lockify/perf"
	"github.com/lockify-dlm/lockify/perf/bare"
	"github.com/lockify-dlm/lockify/perf/load"
)

// Limits that a client process can measure instead of a system.
const (
	Echo = "echo" // answers the pings of one connection
	Ping = "ping" // bare epoll ping-pong: Order.Addrs[0] is "unix:///path" or "tcp://host:port"
)

// pingBytes is what a small lock request and its answer need.
const pingBytes = 64

// Work is the body of a client process: arg is its order. Each line of in is a Turn, and
// it ends when in does: until then others may need its node.
func Work(ctx context.Context, arg string, in io.Reader, out io.Writer) error {
	var o Order
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return fmt.Errorf("rig: order %q: %w", arg, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	say := func(l line) error { return json.NewEncoder(out).Encode(l) }
	lines := bufio.NewScanner(in)
	if o.System == Echo || o.System == Ping {
		bare.Solo()
		return workBare(&o, lines, say)
	}
	s, err := open(ctx, &o)
	if err != nil {
		return err
	}
	defer s.close()
	r := Round{}
	if o.Hold > 0 {
		locks, err := hold(ctx, s, &o, &r)
		if err != nil {
			return err
		}
		defer runtime.KeepAlive(locks)
	}
	if o.Profile != "" {
		stop, err := perf.StartProfile(o.Profile, o.Dir)
		if err != nil {
			return err
		}
		defer stop()
	}
	if err := say(line{Ready: true}); err != nil {
		return err
	}
	for lines.Scan() {
		var t Turn
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return fmt.Errorf("rig: turn %q: %w", lines.Text(), err)
		}
		if err := s.turn(ctx, &o, t, r, say); err != nil {
			return fmt.Errorf("rig: %s: %w", o.System, err)
		}
	}
	return lines.Err()
}

// turn measures.
func (s *system) turn(ctx context.Context, o *Order, t Turn, r Round, say func(line) error) error {
	v := s.Service
	if t.Depth < 1 || t.Depth > o.Depth {
		return fmt.Errorf("%d at a time: want 1 to %d", t.Depth, o.Depth)
	}
	v.Slots, v.Lanes = min(v.Slots, t.Depth), v.Lanes[:min(len(v.Lanes), t.Depth)]
	result, err := load.Run(ctx, v, t.Shape, func() {
		if s.mark != nil {
			s.mark()
		}
		if o.Hold > 0 {
			go runtime.GC() // what a collection among so many locks does to others is a part of it
		}
		say(line{Begun: true})
	})
	if err != nil {
		return err
	}
	r.Result = *result
	if s.round != nil {
		s.round(&r)
	}
	return say(line{Report: &r})
}

// workBare is one end of a ping-pong.
func workBare(o *Order, lines *bufio.Scanner, say func(line) error) error {
	network, addr, _ := strings.Cut(o.Addrs[0], "://")
	if o.System == Echo {
		l, err := bare.Listen(network, addr)
		if err != nil {
			return err
		}
		text := network + "://" + l.Addr
		if err := say(line{Addr: text}); err != nil {
			return err
		}
		s, err := l.Accept()
		if err != nil {
			return err
		}
		defer s.Close()
		s.Echo(pingBytes, pingBytes)
		return s.Err
	}
	s, err := bare.Connect(network, addr)
	if err != nil {
		return err
	}
	defer s.Close()
	var t Turn
	if err := say(line{Ready: true}); err != nil || !lines.Scan() {
		return errors.Join(err, lines.Err())
	}
	if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
		return fmt.Errorf("rig: turn %q: %w", lines.Text(), err)
	}
	s.Ping(t.Shape.Warm+time.Millisecond, pingBytes, pingBytes)
	if err := say(line{Begun: true}); err != nil {
		return err
	}
	before := perf.CPUTime()
	h, took := s.Ping(t.Shape.Duration, pingBytes, pingBytes)
	if s.Err != nil {
		return s.Err
	}
	return say(line{Report: &Round{Result: load.Result{
		Pairs: h.Count() / 2, Seconds: took.Seconds(), Acquire: h, CPU: (perf.CPUTime() - before).Seconds(),
	}}})
}
