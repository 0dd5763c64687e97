package clustertest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
	"github.com/lockify-dlm/lockify/engine"
)

// patience bounds every wait for an event. A busy machine is no failure.
const patience = 30 * time.Second

// view is a view of a lockspace that was told.
type view struct {
	cluster.SpaceView
	at   int64 // reading of CLOCK_BOOTTIME when it was told
	text string
}

// ear is a Handler that keeps what it hears, and checks what must hold of it.
type ear struct {
	t    *testing.T
	name string
	busy atomic.Bool

	mu    sync.Mutex
	news  chan struct{} // closed when something was heard
	state *cluster.State
	views map[string][]view
	lease int64
	ended error
	over  bool // nothing more may come
}

func newEar(t *testing.T, name string) *ear {
	return &ear{t: t, name: name, news: make(chan struct{}), views: map[string][]view{}}
}

// alone begins a call while no other may run, but for Lease, and gives its end.
func (e *ear) alone(call string) func() {
	if !e.busy.CompareAndSwap(false, true) {
		e.t.Errorf("%s: %s came while another call ran", e.name, call)
	}
	leave := e.enter(call)
	return func() {
		leave()
		e.busy.Store(false)
	}
}

// enter begins a call, and gives its end.
func (e *ear) enter(call string) func() {
	e.mu.Lock()
	if e.over {
		e.t.Errorf("%s: %s came after the last call", e.name, call)
	}
	return func() {
		close(e.news)
		e.news = make(chan struct{})
		e.mu.Unlock()
	}
}

func (e *ear) Lease(until int64) {
	defer e.enter("Lease")()
	if until <= e.lease {
		e.t.Errorf("%s: a lease until %d after one until %d", e.name, until, e.lease)
	}
	e.lease = until
}

func (e *ear) Agreed(s *cluster.State, views []cluster.SpaceView) {
	defer e.alone("Agreed")()
	if e.lease == 0 {
		e.t.Errorf("%s: agreed without a lease", e.name)
	}
	if e.state == nil && len(views) > 0 {
		e.t.Errorf("%s: views %v before a lockspace was opened", e.name, views)
	}
	if e.state != nil && (s.Version <= e.state.Version || s.Cluster != e.state.Cluster) {
		e.t.Errorf("%s: version %d of cluster %#x after %d of %#x", e.name, s.Version, s.Cluster, e.state.Version, e.state.Cluster)
	}
	e.state = s
	for _, v := range views {
		told := e.views[v.Space]
		if n := len(told); n > 0 && v.Epoch != told[n-1].Epoch+1 {
			e.t.Errorf("%s: view %d of %s after %d", e.name, v.Epoch, v.Space, told[n-1].Epoch)
		}
		var ids []string
		for _, m := range v.Members {
			ids = append(ids, fmt.Sprint(m.ID))
		}
		e.views[v.Space] = append(told, view{v, engine.BootTime(), strings.Join(ids, " ")})
	}
	for _, v := range views { // the last one of each lockspace is the state's
		told := e.views[v.Space]
		if sp := s.Space(v.Space); sp == nil || sp.Epoch != told[len(told)-1].Epoch {
			e.t.Errorf("%s: view %d of %s is not that of the state: %+v", e.name, told[len(told)-1].Epoch, v.Space, sp)
		}
	}
}

func (e *ear) Ended(reason error) {
	defer e.alone("Ended")()
	if reason == nil {
		e.t.Errorf("%s: ended without a reason", e.name)
	}
	e.ended, e.over = reason, true
}

// closed notes that nothing may be heard any more.
func (e *ear) closed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = true
}

// await waits until ok, which is called with what was heard so far.
func (e *ear) await(what string, ok func() bool) {
	e.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		e.mu.Lock()
		done, news, ended := ok(), e.news, e.ended
		heard := fmt.Sprintf("views %+v, state %+v", e.views, e.state)
		e.mu.Unlock()
		switch {
		case done:
			return
		case ended != nil:
			e.t.Fatalf("%s: ended while waiting for %s: %v", e.name, what, ended)
		}
		select {
		case <-news:
		case <-late.C:
			e.t.Fatalf("%s: waited for %s: %s", e.name, what, heard)
		}
	}
}

// member waits until the membership has begun.
func (e *ear) member() {
	e.t.Helper()
	e.await("membership", func() bool { return e.state != nil })
}

// sees waits until the last view of a lockspace has these members, and gives it.
func (e *ear) sees(space, ids string) (last view) {
	e.t.Helper()
	e.await(fmt.Sprintf("%s with members %s", space, ids), func() bool {
		told := e.views[space]
		if len(told) > 0 {
			last = told[len(told)-1]
		}
		return last.text == ids
	})
	return last
}

// reaches waits for a view of a lockspace.
func (e *ear) reaches(space string, epoch uint64) {
	e.t.Helper()
	e.await(fmt.Sprintf("view %d of %s", epoch, space), func() bool {
		told := e.views[space]
		return len(told) > 0 && told[len(told)-1].Epoch >= epoch
	})
}

// hears waits for the end of the membership, and gives its reason.
func (e *ear) hears() (why error) {
	e.t.Helper()
	e.await("its end", func() bool { why = e.ended; return why != nil })
	return why
}

// until gives the lease.
func (e *ear) until() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lease
}

// texts gives the views of a lockspace from an epoch on.
func (e *ear) texts(space string, from uint64) (out []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.views[space] {
		if v.Epoch >= from {
			out = append(out, fmt.Sprintf("%d: %s", v.Epoch, v.text))
		}
	}
	return out
}
