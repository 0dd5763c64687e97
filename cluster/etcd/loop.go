package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// joined says that the node is a member, or that it cannot become one.
type joined struct {
	instance uint64
	version  uint64 // the node is in it
	sent     int64  // the lease counts from here
	err      error
}

// loop is what the loop's goroutine knows. It alone calls the Handler.
type loop struct {
	*membership
	all            // as far as the watch has come
	absent missing // members without a key
	in     *joined // nil: not a member yet
	until  int64   // when the lease ends; 0: it has not begun
	since  int64   // when the renewal that it rests on was sent
	lost   error   // why the last renewal has failed
	watch  clientv3.WatchChan
	again  <-chan time.Time // when to watch again
	// compacted: etcd does not know the next revision any more.
	compacted bool
	alarm     *time.Timer // the next thing that is due
}

// run is the goroutine of a membership.
func (m *membership) run() {
	defer close(m.done)
	l := &loop{membership: m, absent: missing{}, alarm: time.NewTimer(time.Hour)}
	defer l.alarm.Stop()
	err := l.begin()
	for err == nil {
		err = l.step()
	}
	m.cancel(err)
	m.wg.Wait()
	if why := context.Cause(m.ctx); !errors.Is(why, ErrClosed) {
		m.cfg.Logger.Warn("membership has ended", "reason", why)
		m.h.Ended(why)
	}
}

// begin connects to etcd, reads what is there, and begins to join.
func (l *loop) begin() error {
	err := l.insist("connecting", func(context.Context) error { return l.dial() })
	if err != nil {
		return err
	}
	err = l.insist("reading", func(ctx context.Context) error {
		a, err := l.store.load(ctx)
		if err == nil {
			l.all = *a
		}
		return err
	})
	if err != nil {
		return err
	}
	l.observe()
	l.startWatch()
	terms := l.terms()
	l.wg.Go(func() { l.join(terms) })
	return nil
}

// terms are those of the cluster, or will be.
func (l *loop) terms() cluster.Terms {
	if l.state != nil {
		return l.state.Terms
	}
	return l.cfg.Terms
}

// dial makes the client. Where etcd asks for a password that takes an answer of etcd.
func (m *membership) dial() error {
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(m.ctx, cancel)
	cfg := m.client
	cfg.Context = ctx // the client's, which Leave uses after the membership has ended
	client, err := clientv3.New(cfg)
	if !stop() && err == nil {
		err = errors.Join(context.Cause(m.ctx), client.Close())
	}
	if err == nil {
		m.store = m.storeOf(client)
		m.dialEach()
	}
	return err
}

func (m *membership) storeOf(c *clientv3.Client) *store {
	return &store{c, m.cfg.Prefix + "/" + m.cfg.Cluster + "/", m.cfg.Terms}
}

// insist tries until something succeeds or cannot.
func (m *membership) insist(what string, try func(context.Context) error) error {
	for first := true; ; first = false {
		ctx, cancel := context.WithTimeout(m.ctx, patience)
		err := try(ctx)
		cancel()
		switch {
		case err == nil || lasting(err):
			return err
		case m.ctx.Err() != nil:
			return context.Cause(m.ctx)
		case first:
			m.cfg.Logger.Warn("etcd does not answer; it is asked again", "what", what, "err", err)
		}
		pause(m.ctx)
	}
}

// join makes the node a member. An earlier start of it has to end first: its key goes
// when its TTL has ended, and everybody, this node too, carries out Expire later.
func (m *membership) join(t cluster.Terms) {
	j, lease := joined{instance: m.instance.Load()}, clientv3.LeaseID(0)
	for first := true; ; first = false {
		if lease == 0 {
			j.err = m.insist("lease", func(ctx context.Context) error {
				g, err := m.store.Grant(ctx, ttl(t))
				if err == nil {
					lease = g.ID
					m.wg.Go(func() { m.keepAlive(t, g.ID) })
				}
				return err
			})
		}
		if j.err == nil {
			j.err = m.joinOnce(&j, t, lease)
		}
		if errors.Is(j.err, rpctypes.ErrLeaseNotFound) {
			lease, j.err = 0, nil
			continue
		}
		if !errors.Is(j.err, cluster.ErrBusy) || m.ctx.Err() != nil {
			break
		}
		if first {
			m.cfg.Logger.Info("waiting for the lease of an earlier start of this node, or of another one with its id", "node", cluster.NodeOf(j.instance))
		}
		j.err = nil
		pause(m.ctx)
	}
	select {
	case m.joined <- j:
	case <-m.ctx.Done():
	}
}

func (m *membership) joinOnce(j *joined, t cluster.Terms, lease clientv3.LeaseID) error {
	instance := m.instance.Load()
	whole := func(id uint16) uint64 { return instance&^0xffff | uint64(id) }
	out, err := m.store.change(m.ctx, m.joinCommand(instance), func(_ *cluster.Command, id uint16) []clientv3.Op {
		return []clientv3.Op{clientv3.OpPut(m.store.nodeKey(id), nodeValue(whole(id)), clientv3.WithLease(lease))}
	})
	if err != nil {
		return err
	}
	j.instance, j.version, j.sent = whole(out.id), out.state.Version, out.sent
	if out.changed {
		return nil
	}
	// It was written, but the answer got lost.
	return m.insist("joining", func(ctx context.Context) error {
		j.sent = engine.BootTime()
		mine, err := m.store.holds(ctx, j.instance)
		if err == nil && !mine {
			err = errGone
		}
		return err
	})
}

// errGone: the node was silent for too long, or removed, or somebody has revoked its
// lease in etcd.
var errGone = fmt.Errorf("%w: its key in etcd is gone: it was silent for too long, or was removed", cluster.ErrMember)

// step waits for something, and does what follows from it. Its error ends the membership.
func (l *loop) step() error {
	l.setAlarm()
	select {
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	case r, ok := <-l.watch:
		if err := l.onWatch(r, ok); err != nil {
			return err
		}
	case <-l.again:
		if err := l.watchAgain(); err != nil {
			return err
		}
	case j := <-l.joined:
		if j.err != nil {
			return j.err
		}
		l.in = &j
	case r := <-l.renewed:
		if err := l.onRenewal(r); err != nil {
			return err
		}
	case instance := <-l.expired:
		if a := l.absent[instance]; a != nil {
			a.asked = false
		}
	case <-l.alarm.C:
	}
	if err := l.checkLease(); err != nil {
		return err
	}
	l.expire()
	return l.beMember()
}

// startWatch watches from the next revision on.
func (l *loop) startWatch() {
	l.again = nil
	ctx := clientv3.WithRequireLeader(l.ctx) // who has lost the others says so, and another one is asked
	l.watch = l.store.Watch(ctx, l.store.root, clientv3.WithPrefix(), clientv3.WithRev(l.revision+1))
}

// watchAgain goes on after a watch has ended. If etcd has forgotten revisions that this
// node has not seen, because others use it too and it is asked to, it looks whether one
// of them mattered.
func (l *loop) watchAgain() error {
	if l.compacted {
		ctx, cancel := context.WithTimeout(l.ctx, 2*every(l.terms()))
		defer cancel()
		now, err := l.store.load(ctx)
		switch {
		case lasting(err):
			return err
		case err != nil:
			l.again = time.After(50 * time.Millisecond)
			return nil
		}
		old := l.state
		l.compacted, l.revision, l.keys = false, now.revision, now.keys
		switch {
		case l.until == 0: // it needs no views yet
			l.state = now.state
		case now.state == nil:
			return l.deleted()
		case now.state.Cluster != old.Cluster || now.state.Version < old.Version:
			return fmt.Errorf("%w: what %s held has been replaced", cluster.ErrOther, l.store.stateKey())
		case now.state.Version > old.Version+1:
			return fmt.Errorf("cluster: too many views missed: this node has version %d, now it is %d, and etcd has been compacted", old.Version, now.state.Version)
		case now.state.Version > old.Version:
			l.state = now.state
			if err := l.follow(); err != nil {
				return err
			}
		}
		l.observe()
	}
	l.startWatch()
	return nil
}

// onWatch takes changes, in order. All those of a revision come together.
func (l *loop) onWatch(r clientv3.WatchResponse, ok bool) error {
	if !ok || r.Err() != nil {
		l.watch, l.again = nil, time.After(50*time.Millisecond)
		l.compacted = r.CompactRevision != 0
		return nil
	}
	for _, e := range r.Events {
		if err := l.onEvent(e); err != nil {
			return err
		}
		l.revision = max(l.revision, e.Kv.ModRevision)
	}
	l.observe()
	return nil
}

// deleted is why a node ends that sees no state where it was a member.
func (l *loop) deleted() error {
	return fmt.Errorf("%w: somebody has deleted %s from etcd", cluster.ErrMember, l.store.stateKey())
}

func (l *loop) onEvent(e *clientv3.Event) error {
	if id, instance, ok := l.store.node(e.Kv.Key, e.Kv.Value); ok {
		delete(l.keys, id)
		if e.Type == clientv3.EventTypePut {
			l.keys[id] = instance
		}
		return nil
	}
	if string(e.Kv.Key) != l.store.stateKey() {
		return nil
	}
	if e.Type == clientv3.EventTypeDelete {
		return l.deleted()
	}
	s, err := l.store.decode(e.Kv)
	if err != nil { // who cannot follow must not go on with older views
		return err
	}
	if old := l.state; old != nil && (s.Cluster != old.Cluster || s.Version != old.Version+1) {
		return fmt.Errorf("%w: %s has been overwritten: cluster %#x version %d after cluster %#x version %d", cluster.ErrOther, e.Kv.Key, s.Cluster, s.Version, old.Cluster, old.Version)
	}
	l.state = s
	return l.follow()
}

// follow tells a member the version that has come.
func (l *loop) follow() error {
	if l.until == 0 {
		return nil
	}
	switch n := l.state.Member(l.in.instance); {
	case n == nil:
		return fmt.Errorf("%w any more", cluster.ErrMember)
	case n.Removing:
		return fmt.Errorf("%w any more: removed", cluster.ErrMember)
	}
	l.tell(l.state, l.state.Views(l.in.instance))
	return nil
}

// beMember begins to act as a member, when the watch has come to where it is one.
func (l *loop) beMember() error {
	if l.in == nil || l.until != 0 || l.state == nil || l.state.Version < l.in.version {
		return nil
	}
	l.since, l.until = l.in.sent, l.in.sent+l.state.Terms.Held()
	if err := l.checkLease(); err != nil {
		return err
	}
	l.instance.Store(l.in.instance)
	l.h.Lease(l.until)
	t, instance := l.state.Terms, l.in.instance
	l.wg.Go(func() { l.renew(t, instance) })
	return l.follow()
}

func (l *loop) onRenewal(r renewal) error {
	switch {
	case r.err != nil:
		l.lost = r.err
		return nil
	case !r.mine:
		return errGone
	}
	l.lost = nil
	if until := r.sent + l.state.Terms.Held(); until > l.until {
		l.since, l.until = r.sent, until
		if err := l.checkLease(); err != nil {
			return err
		}
		l.h.Lease(until)
	}
	return nil
}

func (l *loop) checkLease() error {
	if now := engine.BootTime(); l.until != 0 && now >= l.until {
		return noQuorum(now, l.since, l.lost)
	}
	return nil
}

// observe notes who has no key. What it goes by is of one revision.
func (l *loop) observe() {
	if l.state != nil {
		l.absent.note(engine.BootTime(), l.state, l.keys)
	}
}

// expire ends the memberships of those whose leases have ended.
func (l *loop) expire() {
	if l.state == nil {
		return
	}
	gone, _ := l.absent.over(engine.BootTime(), l.state.Terms)
	for _, instance := range gone {
		l.absent[instance].asked = true
		l.wg.Go(func() {
			ctx, cancel := context.WithTimeout(l.ctx, patience) // what is in the way is told now and then
			defer cancel()
			_, err := l.store.change(ctx, cluster.Command{Kind: cluster.Expire, Instance: instance}, l.store.withKey)
			if err == nil || l.ctx.Err() != nil {
				return
			}
			l.cfg.Logger.Error("a node whose lease has ended cannot be put out", "instance", fmt.Sprintf("%#x", instance), "err", err)
			pause(l.ctx)
			select {
			case l.expired <- instance:
			case <-l.ctx.Done():
			}
		})
	}
}

// setAlarm wakes the loop for what is due next.
func (l *loop) setAlarm() {
	now, next := engine.BootTime(), int64(0)
	if l.state != nil {
		_, next = l.absent.over(now, l.state.Terms)
	}
	if l.until != 0 && (next == 0 || l.until < next) {
		next = l.until
	}
	wait := time.Hour
	if next != 0 {
		wait = max(0, time.Duration(next-now))
	}
	l.alarm.Reset(wait)
}
