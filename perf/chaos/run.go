package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/lockify-dlm/lockify"
)

// run is a run under way.
type run struct {
	cfg     Config
	net     *network
	daemons *daemons
	hist    *history
	count   counts
	keeping keeping
	clients []client // of all nodes

	mu     sync.Mutex
	faults []fault // that are over

	problems []string
}

// client is one session after the other.
type client struct {
	*lockify.Client
	node  int
	space *lockify.Lockspace
}

// Within what time everybody must be there at first, and be granted locks again when
// all has healed.
const (
	startTime = 30 * time.Second
	healTime  = 30 * time.Second
)

// Run runs a cluster and checks what its clients saw. It needs root. The error says
// that there was no run; what a run has found is in the report, Report.Err.
func Run(ctx context.Context, cfg Config) (rep *Report, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, hist: newHistory()}
	r.count.odd = map[string]int{}
	r.keeping.disk, r.keeping.users = map[string]int{}, map[string][]*keptUse{}
	if r.net, err = newNetwork(cfg.Nodes); err != nil {
		return nil, err
	}
	defer r.net.close()
	dir, err := os.MkdirTemp(dataDir(), "chaos")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if r.daemons, err = startDaemons(&r.cfg, r.net, dir); err != nil {
		return nil, err
	}
	defer r.daemons.end()
	if err := r.dial(ctx); err != nil {
		return nil, errors.Join(err, r.save(&Report{Seed: cfg.Seed}))
	}
	end, err := r.load(ctx)
	if err != nil {
		return nil, errors.Join(err, r.save(&Report{Seed: cfg.Seed}))
	}
	r.settle(ctx)
	r.hangUp()
	for _, err := range r.daemons.end() {
		r.problem("%v", err)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	rep = r.report(end)
	if rep.Err() != nil {
		err = r.save(rep)
	}
	return rep, err
}

// dataDir is where daemons have their disks: in memory, if that can be. The faults are
// those of the plan then, and not those of a disk that others use as well: a voter that
// waits for it longer than a lease is one that is stopped.
func dataDir() string {
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		return ""
	}
	return memory
}

func (r *run) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

// dial connects all clients.
func (r *run) dial(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for n := 1; n <= r.cfg.Nodes; n++ {
		for i := range r.cfg.Clients {
			c, err := r.connect(ctx, n, fmt.Sprintf("chaos-%d-%d", n, i+1))
			if err != nil {
				return fmt.Errorf("node %d does not serve clients after %v: %w", n, startTime, err)
			}
			r.clients = append(r.clients, c)
		}
	}
	return nil
}

// connect tries until the node's daemon is there, and a member.
func (r *run) connect(ctx context.Context, node int, name string) (client, error) {
	for {
		c, err := lockify.Dial(ctx, "unix://"+r.daemons.all[node-1].sock, lockify.WithName(name))
		if err == nil {
			var space *lockify.Lockspace
			if space, err = c.Open(ctx, "chaos"); err == nil {
				return client{c, node, space}, nil
			}
			err = errors.Join(err, c.Close())
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return client{}, err
		}
	}
}

// load has all clients at work, and faults, for as long as was asked for. It gives the
// time at which the last fault had healed.
func (r *run) load(ctx context.Context) (end int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Duration)
	defer cancel()
	var wg sync.WaitGroup
	lane := 0
	begin := func(c *client, f func(*worker, context.Context)) {
		w := &worker{run: r, rng: rand.New(rand.NewPCG(r.cfg.Seed, uint64(lane)+2)), client: c.Client, space: c.space, node: c.node, lane: lane}
		lane++
		wg.Go(func() { f(w, ctx) })
	}
	for i := range r.clients {
		c := &r.clients[i]
		for range r.cfg.Workers {
			begin(c, (*worker).work)
		}
		if i%r.cfg.Clients == 0 {
			begin(c, (*worker).anchor)
			begin(c, (*worker).visit)
			begin(c, (*worker).keepLocks)
		}
	}
	wg.Go(func() { r.watch(ctx) })
	err = r.trouble(ctx, r.cfg.Seed)
	end = r.hist.now()
	cancel()
	if err != nil { // what is stopped would not let the workers go
		r.daemons.end()
	}
	wg.Wait()
	return end, err
}

// settle sees to it that every client can lock again: a name of its own, and one that
// all want.
func (r *run) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(r.clients))
	for i := range r.clients {
		c := &r.clients[i]
		wg.Go(func() {
			for _, name := range []string{fmt.Sprintf("end/%d", i), "end/all"} {
				if errs[i] = c.lockOnce(ctx, name); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			r.problem("client %d, of node %d, was granted nothing within %v after everything had healed: %v", i+1, r.clients[i].node, healTime, err)
		}
	}
}

// lockOnce locks a name until that has worked once.
func (c *client) lockOnce(ctx context.Context, name string) error {
	for {
		l, err := c.space.Lock(ctx, name, lockify.EX)
		if err == nil {
			err = l.Unlock(ctx)
		}
		if !errors.Is(err, lockify.ErrLost) || !sleep(ctx, 20*time.Millisecond) {
			return err
		}
	}
}

func (r *run) hangUp() {
	for _, c := range r.clients {
		if err := c.Close(); err != nil {
			r.problem("client of node %d: close: %v", c.node, err)
		}
	}
}
