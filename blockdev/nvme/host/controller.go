package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// ErrGaveUp says that the controller was lost and not to be had again within
// Config.Retry.
var ErrGaveUp = errors.New("nvme: the controller is gone")

// Controller is a controller of a target: an admin connection, which a goroutine
// keeps, makes again when it breaks, and with it those of all rings. Its methods may be
// called from several goroutines.
type Controller struct {
	cfg    Config
	start  time.Time // zero of its clock
	w      waker     // wakes the keeper
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when the keeper has ended

	mu      sync.Mutex
	info    Info
	gen     uint64        // counts connections; those of rings belong to one of the admin queue's
	up      bool          // the connection gen is there
	cause   error         // a ring says that it is broken
	end     error         // there will be none any more
	changed chan struct{} // closed at the next change of the above
	calls   []*call       // not submitted yet
	rings   map[uint16]*queue
	lastQID uint16
	inUse   map[uint32]*Device // the latest one of each namespace

	states atomic.Pointer[map[uint32]nvme.ANAState] // Info.ANA
}

// Dial connects to a controller and brings it up; ctx is for the time that this takes.
func Dial(ctx context.Context, cfg Config) (*Controller, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	w, err := newWaker()
	if err != nil {
		return nil, err
	}
	c := &Controller{
		cfg: cfg, start: time.Now(), w: w, done: make(chan struct{}), changed: make(chan struct{}),
		rings: map[uint16]*queue{}, inUse: map[uint32]*Device{},
	}
	l, info, err := c.bringUp(ctx)
	if err != nil {
		w.close()
		return nil, err
	}
	c.info, c.gen, c.up = *info, 1, true
	c.states.Store(&info.ANA)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.keep(l)
	return c, nil
}

// Info describes the controller as it was when it was brought up last.
func (c *Controller) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	info := c.info
	info.Namespaces = slices.Clone(info.Namespaces)
	return info
}

// Close ends the controller. Rings that are still there get StatusClosed.
func (c *Controller) Close() error {
	c.mu.Lock()
	if c.end == nil {
		c.end = blockdev.ErrClosed
	}
	c.mu.Unlock()
	c.cancel()
	c.wake()
	<-c.done
	return nil
}

// wake wakes the keeper, if there is one.
func (c *Controller) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w.fd >= 0 {
		c.w.wake()
	}
}

func (c *Controller) clock() time.Duration { return time.Since(c.start) }

func (c *Controller) notify(e Event) {
	if c.cfg.Notify != nil {
		c.cfg.Notify(e)
	}
}

// bringUp makes an admin connection and a controller of it.
func (c *Controller) bringUp(ctx context.Context) (*link, *Info, error) {
	l, err := dial(ctx, c.cfg.Addr, connConfig{
		Commands: adminCommands, Spare: adminCommands, Buffer: 16 << 10,
		HeaderDigest: c.cfg.HeaderDigest, DataDigest: c.cfg.DataDigest,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("nvme: %w", err)
	}
	b := newBringup(&c.cfg)
	for !b.Done() {
		var cmd nvme.Command
		data, wait := b.Next(&cmd)
		if wait > 0 {
			c.w.await(-1, false, wait)
		}
		var end ending
		if end, err = l.call(ctx, c.w, &cmd, data, nvme.AdminCapsuleData); err == nil {
			err = b.Ended(&end)
		} else {
			err = b.bad(err)
		}
		if err != nil {
			l.close()
			return nil, nil, fmt.Errorf("%s: %w", c.cfg.Addr, err)
		}
	}
	return l, &b.Info, nil
}

// keep is the keeper's goroutine.
func (c *Controller) keep(l *link) {
	defer close(c.done)
	for {
		err := c.serve(l)
		l.close()
		if c.ctx.Err() != nil {
			break
		}
		c.lost(err)
		c.notify(Event{Kind: Lost, Err: err})
		if l, err = c.again(); err != nil {
			if c.ctx.Err() == nil {
				c.notify(Event{Kind: GaveUp, Err: err})
			}
			break
		}
		c.notify(Event{Kind: Restored})
	}
	c.over()
}

// change sets something under the mutex and tells those who wait for a change.
func (c *Controller) change(set func()) {
	c.mu.Lock()
	set()
	close(c.changed)
	c.changed = make(chan struct{})
	c.mu.Unlock()
}

// lost tells everybody that the connection is broken.
func (c *Controller) lost(err error) {
	c.change(func() { c.up, c.cause = false, nil })
	for _, q := range c.allRings() {
		q.tell(func(n *news) { n.lost = max(n.lost, c.gen) })
	}
	c.failCalls(err)
}

// over tells everybody that there will be no connection any more.
func (c *Controller) over() {
	status := blockdev.StatusClosed
	c.change(func() {
		if c.up = false; c.end == nil {
			c.end = ErrGaveUp
		}
		if c.end == ErrGaveUp {
			status = blockdev.StatusLost
		}
		c.w.close()
		c.w.fd = -1
	})
	for _, q := range c.allRings() {
		q.tell(func(n *news) { n.lost, n.over = c.gen, status })
	}
	c.failCalls(c.end)
}

func (c *Controller) allRings() []*queue {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]*queue, 0, len(c.rings))
	for _, q := range c.rings {
		all = append(all, q)
	}
	return all
}

// again makes the connection again, with those of all rings.
func (c *Controller) again() (*link, error) {
	var pause backoff
	begin := c.clock()
	for {
		l, err := c.attempt()
		if err == nil {
			return l, nil
		}
		if c.clock()-begin >= c.cfg.Retry {
			return nil, errors.Join(ErrGaveUp, err)
		}
		c.notify(Event{Kind: Refused, Err: err})
		for until := c.clock() + pause.wait(rand.Float64()); c.clock() < until; {
			if c.ctx.Err() != nil {
				return nil, c.ctx.Err()
			}
			c.w.await(-1, false, until-c.clock())
		}
	}
}

// attemptTime bounds an attempt to connect again.
const attemptTime = 5 * time.Second

func (c *Controller) attempt() (*link, error) {
	ctx, cancel := context.WithTimeout(c.ctx, attemptTime)
	defer cancel()
	l, info, err := c.bringUp(ctx)
	if err != nil {
		return nil, err
	}
	if err = c.sameDevices(info); err != nil {
		l.close()
		return nil, err
	}
	var rings []*queue
	c.change(func() {
		c.info, c.up, c.gen = *info, true, c.gen+1
		for _, q := range c.rings {
			if q.kept {
				rings = append(rings, q)
			}
		}
	})
	c.states.Store(&info.ANA)
	if err = c.reconnectRings(ctx, rings, info); err != nil {
		l.close()
		c.lost(err)
		return nil, err
	}
	return l, nil
}

// broken is what a ring says whose connection, of generation gen, has failed.
func (c *Controller) broken(gen uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.up && gen == c.gen && c.cause == nil {
		c.cause = err
		c.w.wake()
	}
}

// connection waits until the controller is up, and gives what a ring needs of it.
func (c *Controller) connection(ctx context.Context) (Info, uint64, error) {
	for {
		c.mu.Lock()
		info, gen, up, end, changed := c.info, c.gen, c.up, c.end, c.changed
		c.mu.Unlock()
		switch {
		case end != nil:
			return Info{}, 0, end
		case up:
			return info, gen, nil
		}
		select {
		case <-ctx.Done():
			return Info{}, 0, ctx.Err()
		case <-changed:
		}
	}
}
