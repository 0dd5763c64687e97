package node

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// BenchmarkRecovery kills one of five nodes that hold n locks, each mastered by
// another node than its holder's, a fifth of them by the dead one (or as few as the
// name says), and installs the next view on the others.
//
//	recover-ms  until all names can be locked again
//	pause-*-ms  of programs that lock and unlock names which have to do with live
//	            nodes only: the longest time that one operation took, over the programs
//	cpu-ms      of the processors used by all five, and by the programs
//	quiet-ms    the same, maximum, without a recovery
func BenchmarkRecovery(b *testing.B) {
	for _, c := range []struct {
		locks, affected int
	}{{100_000, 20_000}, {300_000, 60_000}, {1_000_000, 200_000}, {1_000_000, 20_000}} {
		b.Run(fmt.Sprintf("%dk-of-%dk", c.affected/1000, c.locks/1000), func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				recoverOnce(b, c.locks, c.affected)
			}
		})
	}
}

// tally is an Owner that counts.
type tally struct{ ok, bad atomic.Int64 }

func (t *tally) Complete(_, _ uint64, c *lockspace.Completion) {
	if c.Status == wire.OK || c.Status == wire.Unlocked {
		t.ok.Add(1)
	} else {
		t.bad.Add(1)
	}
}
func (t *tally) Blocking(uint64, lockspace.Mode)                {}
func (t *tally) Confirmed(uint64)                               {}
func (t *tally) Lost(uint64)                                    { t.bad.Add(1) }
func (t *tally) Bytes(id, tag uint64, o *lockspace.ByteOutcome) {}

// held is n locks of a world of five nodes.
type held struct {
	b      *testing.B
	w      *world
	spaces [6]*Space
	owner  tally
	dead   func(i int) bool // the master of name i is node 5
}

func (h *held) name(i int) []byte { return fmt.Appendf(nil, "group-%04d/%07d", i%1000, i) }

func (h *held) master(i int) int {
	if h.dead(i) {
		return 5
	}
	return 1 + i%4
}

func (h *held) holder(i int) int {
	if h.dead(i) {
		return 1 + i/7%4
	}
	return 1 + (i+1+i/4%3)%4
}

// each does f for all names in order, without more than a few thousand under way, and
// waits for all.
func (h *held) each(n int, f func(i int)) {
	before := h.owner.ok.Load()
	for i := range n {
		f(i)
		if i%4096 == 0 || i == n-1 {
			await(h.b, func() bool { return h.owner.ok.Load()+4096 > before+int64(i) })
		}
	}
	await(h.b, func() bool { return h.owner.ok.Load() == before+int64(n) })
	if bad := h.owner.bad.Load(); bad != 0 {
		h.b.Fatalf("%d locks failed", bad)
	}
}

func holdMany(b *testing.B, n, affected int) *held {
	h := &held{b: b, dead: func(i int) bool { return i%(n/affected) == 0 }}
	h.w = newWorld(b, 1, 2, 3, 4, 5)
	for id := 1; id <= 5; id++ {
		h.spaces[id] = h.w.open(uint16(id))
	}
	ids := make([]uint64, n)
	h.each(n, func(i int) {
		ids[i] = h.spaces[h.master(i)].Lock(&h.owner, h.name(i), lockspace.NL, lockspace.NewName, 0, 0, 1)
	})
	h.each(n, func(i int) { h.spaces[h.holder(i)].Lock(&h.owner, h.name(i), lockspace.EX, 0, 0, 0, 1) })
	h.each(n, func(i int) { h.spaces[h.master(i)].Unlock(&h.owner, ids[i], 0, nil, 2) })
	return h
}

// prober locks and unlocks a name on node at, again and again.
type prober struct {
	space *Space
	name  []byte
	l     listener
	worst atomic.Int64 // ns, of one operation
	fail  atomic.Bool
}

func (p *prober) once() {
	start := time.Now()
	id := p.space.Lock(p.l, p.name, lockspace.EX, 0, 0, 0, 1)
	got := <-p.l
	p.space.Unlock(p.l, id, 0, nil, 2)
	if end := <-p.l; got.status != wire.OK || end.status != wire.Unlocked {
		p.fail.Store(true)
	}
	p.worst.Store(max(p.worst.Load(), int64(time.Since(start))))
}

// probe runs probers until stop: half of them master their name, half do not. Each
// goes once every 2 ms.
func (h *held) probe(stop chan struct{}) ([]*prober, *sync.WaitGroup) {
	view := h.spaces[1].view.Load()
	var all []*prober
	var wg sync.WaitGroup
	for i := 0; len(all) < 24; i++ {
		name := fmt.Appendf(nil, "probe %d", i)
		if view.Directory(lockspace.Hash(name)) == 5 {
			continue
		}
		m := 1 + len(all)%4
		hold(h.b, h.spaces[m], string(name), lockspace.NL, lockspace.NewName)
		at := 1 + (m-1+len(all)/4%2)%4
		all = append(all, &prober{space: h.spaces[at], name: name, l: make(listener, 4)})
	}
	for _, p := range all {
		wg.Go(func() {
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					p.once()
				}
			}
		})
	}
	return all, &wg
}

func worstOf(all []*prober) (list []float64) {
	for _, p := range all {
		list = append(list, float64(p.worst.Swap(0))/1e6)
	}
	slices.Sort(list)
	return list
}

// traffic adds up what the nodes that run have sent to each other.
func (w *world) traffic() (messages, bytes uint64) {
	for _, n := range w.nodes {
		for id, p := range n.links.Stats() {
			if w.nodes[id] != nil {
				bytes += p.BytesOut
			}
		}
		for _, s := range n.Spaces() {
			for _, k := range s.Stats().Sent {
				messages += k
			}
		}
	}
	return messages, bytes
}

func (w *world) recovering() bool {
	for _, n := range w.nodes {
		for _, s := range n.Spaces() {
			for _, sh := range s.Stats().Shards {
				if sh.Recovering {
					return true
				}
			}
		}
	}
	return false
}

// recovered returns when no shard waits for the others any more.
func (w *world) recovered() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.recovering() {
		<-tick.C
	}
}

// cpuTime gives what this process has used of the processors.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func recoverOnce(b *testing.B, n, affected int) {
	h := holdMany(b, n, affected)
	stop := make(chan struct{})
	probers, wg := h.probe(stop)
	runtime.GC()
	worstOf(probers)
	tick := time.NewTicker(time.Second)
	<-tick.C
	tick.Stop()
	quiet := worstOf(probers)
	h.w.crash(5)
	messages, bytes := h.w.traffic()
	start, cpu := time.Now(), cpuTime()
	b.StartTimer()
	h.w.view()
	installed := time.Since(start)
	h.w.recovered()
	b.StopTimer()
	took, used := time.Since(start), cpuTime()-cpu
	m, o := h.w.traffic()
	close(stop)
	wg.Wait()
	worst := worstOf(probers)
	for _, p := range probers {
		if p.fail.Load() {
			b.Error("a prober's lock failed")
		}
	}
	if bad := h.owner.bad.Load(); bad != 0 {
		b.Errorf("%d locks lost", bad)
	}
	b.ReportMetric(float64(installed)/1e6, "install-ms")
	b.ReportMetric(float64(took)/1e6, "recover-ms")
	b.ReportMetric(float64(used)/1e6, "cpu-ms")
	b.ReportMetric(quiet[len(quiet)-1], "quiet-ms")
	b.ReportMetric(worst[len(worst)/2], "pause-p50-ms")
	b.ReportMetric(worst[len(worst)-1], "pause-max-ms")
	b.ReportMetric(float64(m-messages), "messages")
	b.ReportMetric(float64(o-bytes), "sent-B")
}
