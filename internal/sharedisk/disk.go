package sharedisk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/host"
	"github.com/lockify-dlm/lockify/cluster"
)

// Disk says where a shared disk is.
type Disk struct {
	Addr    string // host:port of the target
	NQN     string // of the subsystem
	NSID    uint32 // of the namespace; 0: the only one
	HostNQN string // this node's name, which the target may ask for; "": made of the host ID
}

func (d *Disk) String() string {
	if d.NSID == 0 {
		return fmt.Sprintf("%s at %s", d.NQN, d.Addr)
	}
	return fmt.Sprintf("namespace %d of %s at %s", d.NSID, d.NQN, d.Addr)
}

// kind is the type of the reservation.
const kind = nvme.WriteExclusiveAllRegistrants

// errGone: the node's own registration is not there any more.
var errGone = errors.New("this node's registration is gone: others have barred it, or the target has forgotten it")

// registration is that of an instance at a disk.
type registration struct {
	disk *Disk
	id   [16]byte
	key  uint64
	dev  *host.Device
}

// queues is above 1, as each command has one of its own and the target may take a while to
// let go of that of the one before.
const queues = 4

// keepAlive is short, because a fence waits for a connection that has died to be noticed.
const keepAlive = 2 * time.Second

// forever is how long a target is looked for that has gone.
const forever = math.MaxInt64

// register connects to the disk and registers. look is called when the registration should
// be looked at.
func register(ctx context.Context, d *Disk, instance uint64, look func(), log *slog.Logger) (r *registration, err error) {
	r = &registration{disk: d, id: cluster.HostID(instance), key: instance}
	r.dev, err = host.Open(ctx, host.Config{
		Addr: d.Addr, SubNQN: d.NQN, NSID: d.NSID, HostNQN: d.HostNQN, HostID: r.id, Queues: queues, Retry: forever, KeepAlive: keepAlive,
		Notify: func(e host.Event) {
			log.Debug("shared disk", "disk", d, "event", e.Kind, "err", e.Err)
			if e.Kind == host.Restored || e.Kind == host.Told && e.Async.Log == nvme.LogReservation {
				look()
			}
		},
	})
	if err != nil {
		return nil, err
	}
	if err = r.begin(ctx, log); err != nil {
		return nil, errors.Join(err, r.dev.Close())
	}
	return r, nil
}

// begin registers, and takes part in the reservation.
func (r *registration) begin(ctx context.Context, log *slog.Logger) error {
	p := nvme.Reservation{Action: nvme.Register, Persist: nvme.PersistOn}
	if r.dev.Namespace().Identify.RESCAP&nvme.ReservePersist == 0 {
		log.Warn("this target keeps no reservations when it restarts: a node that was barred could write again then", "disk", r.disk)
		p.Persist = nvme.PersistNoChange
	}
	if err := r.dev.Reserve(ctx, nvme.OpReservationRegister, p, nvme.ReservationKeys{Other: r.key}); err != nil {
		return fmt.Errorf("register key %#x: %w", r.key, err)
	}
	err := r.dev.Reserve(ctx, nvme.OpReservationAcquire, nvme.Reservation{Action: nvme.Acquire, Type: kind}, nvme.ReservationKeys{Current: r.key})
	if errors.Is(err, nvme.StatusReservation) {
		s, also := r.dev.Reservations(ctx)
		if also == nil {
			err = fmt.Errorf("there is a reservation of another type, %q: want %q, or none; see lockctl disk reserve report", s.Type, kind)
		}
	}
	if err != nil {
		return err
	}
	return r.sweep(ctx)
}

// sweep bars earlier starts of this node, which are over: those that have never joined
// nobody else bars.
func (r *registration) sweep(ctx context.Context) error {
	s, err := r.report(ctx)
	if err != nil {
		return err
	}
	for i := range s.Registrants {
		g := &s.Registrants[i]
		if g.HostID == cluster.HostID(g.Key) && cluster.NodeOf(g.Key) == cluster.NodeOf(r.key) && g.Key != r.key {
			if err := r.bar(ctx, g.Key); err != nil {
				return fmt.Errorf("an earlier start of this node, key %#x: %w", g.Key, err)
			}
		}
	}
	return nil
}

// report asks who is registered, and that this node is.
func (r *registration) report(ctx context.Context) (*nvme.ReservationStatus, error) {
	s, err := r.dev.Reservations(ctx)
	switch {
	case err != nil:
		return nil, err
	case s.Type != kind:
		return nil, fmt.Errorf("%w (the reservation is %q)", errGone, s.Type)
	case len(s.Registrants) < s.Total:
		return nil, fmt.Errorf("%d registrants are more than can be looked at: remove those that are not needed (lockctl disk reserve)", s.Total)
	}
	for i := range s.Registrants {
		if g := &s.Registrants[i]; g.HostID == r.id && g.Key == r.key {
			return &s, nil
		}
	}
	return nil, errGone
}

func has(s *nvme.ReservationStatus, key uint64) bool {
	for i := range s.Registrants {
		if s.Registrants[i].Key == key {
			return true
		}
	}
	return false
}

// bar ends the registration of an instance. One that is not there needs none: it cannot
// write under the reservation, and registers no more.
func (r *registration) bar(ctx context.Context, instance uint64) error {
	s, err := r.report(ctx)
	if err != nil || !has(s, instance) {
		return err
	}
	p := nvme.Reservation{Action: nvme.PreemptAndAbort, Type: kind}
	err = r.dev.Reserve(ctx, nvme.OpReservationAcquire, p, nvme.ReservationKeys{Current: r.key, Other: instance})
	// A conflict may mean that another node was quicker, so the report decides.
	if err != nil && !errors.Is(err, nvme.StatusReservation) {
		return err
	}
	if s, err = r.report(ctx); err == nil && has(s, instance) {
		err = errors.New("the key is still registered after it was preempted")
	}
	return err
}

// end takes the registration back.
func (r *registration) end(ctx context.Context) error {
	p := nvme.Reservation{Action: nvme.Unregister}
	err := r.dev.Reserve(ctx, nvme.OpReservationRegister, p, nvme.ReservationKeys{Current: r.key})
	if errors.Is(err, nvme.StatusReservation) {
		err = nil // it is gone already
	}
	return err
}
