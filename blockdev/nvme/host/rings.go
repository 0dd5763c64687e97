package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// A ring's queue ID is connected by one goroutine at a time: the one that makes the ring, until
// that is connected to the controller as it is then; from there on the keeper, each time that it
// has made the controller again (queue.kept).

// admit gives a ring a queue ID and connects it. If the controller is lost meanwhile,
// the ring hears of it like the others.
func (c *Controller) admit(ctx context.Context, q *queue) error {
	info, gen, err := c.connection(ctx)
	if err != nil {
		return err
	}
	if err = c.takeQID(q, info.Queues); err != nil {
		return err
	}
	return c.connectRing(ctx, q, info, gen)
}

// join gives a ring a queue ID, and connects it if the controller is there, which it
// says; else the keeper does so later.
func (c *Controller) join(ctx context.Context, q *queue) (up bool, err error) {
	c.mu.Lock()
	queues := c.info.Queues
	c.mu.Unlock()
	if err := c.takeQID(q, queues); err != nil {
		return false, err
	}
	c.mu.Lock()
	info, gen, up, end := c.info, c.gen, c.up, c.end
	q.kept = !up
	c.mu.Unlock()
	switch {
	case end != nil:
		c.leave(q)
		return false, end
	case !up:
		return false, nil
	}
	return true, c.connectRing(ctx, q, info, gen)
}

// busyTime is how long a controller may take to let go of a queue ID.
const busyTime = 5 * time.Second

// busy says that a controller does not let a ring have its queue ID yet. The ring that had it
// before has closed its connection, of which the controller may not have heard: each sort of
// controller says so in its way.
func busy(err error) bool {
	return errors.Is(err, nvme.StatusSequence) || errors.Is(err, nvme.StatusInvalidQueueID) || errors.Is(err, nvme.StatusConnectBusy)
}

// connectRing connects a ring that has a queue ID. If that fails the ID is given back.
func (c *Controller) connectRing(ctx context.Context, q *queue, info Info, gen uint64) error {
	var pause backoff
	begin := c.clock()
	err := c.connectOnce(ctx, q, &info, gen)
	for err != nil && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(pause.wait(rand.Float64())):
		}
		before := gen
		var lost error
		if info, gen, lost = c.connection(ctx); lost != nil {
			err = errors.Join(lost, err)
			break
		}
		if gen == before && (!busy(err) || c.clock()-begin >= busyTime) {
			break
		}
		err = c.connectOnce(ctx, q, &info, gen)
	}
	if err != nil {
		c.leave(q)
	}
	return err
}

// connectOnce connects a ring to the controller's connection gen, and leaves it to the keeper if
// that is still the present one.
func (c *Controller) connectOnce(ctx context.Context, q *queue, info *Info, gen uint64) error {
	if err := q.mayGoOn(info); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	if err := q.reconnect(ctx, info, gen); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.up || c.gen != gen {
		return errLost
	}
	q.kept = true
	return nil
}

// reconnectRings connects the rings that are the keeper's to the controller's new connection.
func (c *Controller) reconnectRings(ctx context.Context, rings []*queue, info *Info) error {
	for _, q := range rings {
		if err := q.reconnect(ctx, info, c.gen); err != nil && c.has(q) {
			return err
		}
	}
	return nil
}

// has says whether a ring is there; else its queue ID may be another one's.
func (c *Controller) has(q *queue) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rings[q.qid] == q
}

// leave gives a ring's queue ID back.
func (c *Controller) leave(q *queue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.rings, q.qid)
}

// takeQID gives a free queue ID, in turn, since a controller may take a while to let
// go of one.
func (c *Controller) takeQID(q *queue, queues int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range queues {
		id := uint16((int(c.lastQID)+i)%queues + 1)
		if c.rings[id] == nil {
			q.qid, c.rings[id], c.lastQID = id, q, id
			return nil
		}
	}
	return fmt.Errorf("nvme: all %d I/O queues of %s are in use: close a ring, or ask for more (Config.Queues)", queues, c.cfg.Addr)
}
