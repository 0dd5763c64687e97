package lockspace

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/lockify-dlm/lockify/wire"
)

// quiet is a Host and a Common that do as little as possible. It discards all
// messages, but keeps the life of the last claim, so that it can be confirmed.
type quiet struct {
	last, clock uint64
	closed      uint64
	life        wire.Life
	sent        int
	ends        int
}

func (q *quiet) Send(_ uint16, m *wire.Msg) {
	q.sent++
	if m.Type == wire.Notify {
		q.life = m.Life
	}
}
func (q *quiet) Complete(any, uint64, uint64, *Completion) { q.ends++ }
func (q *quiet) Blocking(any, uint64, Mode)                {}
func (q *quiet) Confirmed(any, uint64)                     {}
func (q *quiet) Lost(any, uint64)                          {}
func (q *quiet) Bytes(any, uint64, uint64, *ByteOutcome)   {}
func (q *quiet) Conflict([]byte, wire.Life)                {}
func (q *quiet) MayClaim(uint16) bool                      { return true }
func (q *quiet) OpenClaim() (uint64, bool)                 { q.last++; return q.last, true }
func (q *quiet) CloseClaim(n uint64)                       { q.closed = max(q.closed, n) }
func (q *quiet) LastClaim() uint64                         { return q.last }
func (q *quiet) ClosedTo() uint64                          { return q.closed }
func (q *quiet) Clock() uint64                             { return q.clock }
func (q *quiet) Advance(token uint64)                      { q.clock = max(q.clock, token) }

// hot is a shard that runs one kind of operation again and again.
type hot struct {
	t    testing.TB
	host quiet
	s    *Shard
	now  int64
	name []byte
	q    Request
	seq  uint64
}

const hotIdle = 1000 // ns: some names are always on their way out

func newHot(t testing.TB, members ...uint16) *hot {
	t.Helper()
	h := &hot{t: t, name: []byte("name 12345678")}
	var list []Member
	for _, id := range members {
		list = append(list, Member{ID: id, Instance: instanceOf(id)})
	}
	v, err := NewView(1, list)
	if err != nil {
		t.Fatal(err)
	}
	h.s, err = New(Config{
		Self: instanceOf(1), Shards: 1, ValueLen: 8, View: v,
		Host: &h.host, Common: &h.host, IdleAfter: hotIdle,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// next makes a new name whose directory is node dir.
func (h *hot) next(dir uint16) {
	for {
		h.seq++
		binary.LittleEndian.PutUint64(h.name[5:], h.seq)
		if hash := Hash(h.name); h.s.view.Directory(hash) == dir {
			h.q.Name, h.q.Hash = h.name, hash
			return
		}
	}
}

// lockUnlock is a lock and its unlock, without a wait.
func (h *hot) lockUnlock() {
	h.now += 10
	id, st := h.s.Lock(h.now, &h.q)
	if st != wire.OK {
		h.t.Fatal(st)
	}
	if st := h.s.Unlock(h.now, id, 0, nil); st != wire.OK {
		h.t.Fatal(st)
	}
}

func (h *hot) tick() {
	if h.seq&63 == 0 {
		h.s.Tick(h.now)
	}
}

// cached locks a name that this node masters already.
func cached(t testing.TB) (*hot, func()) {
	h := newHot(t, 1)
	h.next(1)
	h.q.Mode = EX
	return h, h.lockUnlock
}

// fresh locks another name each time, on a cluster of one node.
func fresh(t testing.TB) (*hot, func()) {
	h := newHot(t, 1)
	h.q.Mode = EX
	return h, func() {
		h.next(1)
		h.lockUnlock()
		h.tick()
	}
}

// claiming creates another name each time, with a remote directory: NOTIFY goes
// out, CONFIRM comes in, REMOVE goes out.
func claiming(t testing.TB) (*hot, func()) {
	h := newHot(t, 1, 2)
	h.q.Mode, h.q.Flags = EX, NewName
	m := wire.Msg{Type: wire.Confirm}
	return h, func() {
		h.next(2)
		h.lockUnlock()
		m.Name, m.Life = h.q.Name, h.host.life
		h.s.Deliver(h.now, Origin{instanceOf(2), 1, 0}, h.q.Hash, &m)
		h.tick()
	}
}

// directory answers a NOTIFY, and forgets the name again.
func directory(t testing.TB) (*hot, func()) {
	h := newHot(t, 1, 2)
	n, r := wire.Msg{Type: wire.Notify}, wire.Msg{Type: wire.Remove}
	return h, func() {
		h.next(1)
		h.now += 10
		n.Name, n.Life, n.Claim = h.q.Name, wire.Life{Instance: instanceOf(2), Counter: h.seq}, h.seq
		r.Name, r.Life = n.Name, n.Life
		h.s.Deliver(h.now, Origin{instanceOf(2), 1, 0}, h.q.Hash, &n)
		h.s.Deliver(h.now, Origin{instanceOf(2), 1, 0}, h.q.Hash, &r)
	}
}

// served is a request of another node on a name mastered here, and its unlock.
func served(t testing.TB) (*hot, func()) {
	h := newHot(t, 1, 2)
	h.next(1)
	h.q.Mode = NL
	if _, st := h.s.Lock(0, &h.q); st != wire.OK {
		t.Fatal(st)
	}
	life := h.s.names.find(h.q.Hash, h.q.Name).life
	q := wire.Msg{Type: wire.Request, Name: h.q.Name, Life: life, Mode: uint8(EX)}
	u := wire.Msg{Type: wire.Unlock, Name: h.q.Name, Life: life}
	return h, func() {
		h.now += 10
		h.seq++
		q.Lock, u.Lock = h.seq, h.seq
		h.s.Deliver(h.now, Origin{instanceOf(2), 1, 0}, h.q.Hash, &q)
		h.s.Deliver(h.now, Origin{instanceOf(2), 1, 0}, h.q.Hash, &u)
	}
}

var hotPaths = map[string]func(testing.TB) (*hot, func()){
	"cached": cached, "fresh": fresh, "claimed": claiming, "directory": directory, "served": served,
}

func TestNoAllocations(t *testing.T) {
	for name, path := range hotPaths {
		t.Run(name, func(t *testing.T) {
			h, op := path(t)
			for range 4096 { // the tables reach their size
				op()
			}
			if n := testing.AllocsPerRun(4096, op); n != 0 {
				t.Errorf("%v allocations", n)
			}
			h.now += hotIdle
			h.s.Tick(h.now)
			st := h.s.Stats()
			if st.ClaimsOpen != 0 || st.HeldNow != 0 || name != "served" && st.Resources+st.Locks != 0 {
				t.Errorf("left: %+v", st)
			}
			if name == "claimed" && (st.ClaimsConfirmed < 8192 || h.host.sent < 2*8192) {
				t.Errorf("%d claims confirmed, %d messages sent", st.ClaimsConfirmed, h.host.sent)
			}
			if name == "served" && h.host.sent < 8192 {
				t.Errorf("%d answers sent", h.host.sent)
			}
		})
	}
}

func BenchmarkHot(b *testing.B) {
	for _, name := range []string{"cached", "fresh", "claimed", "directory", "served"} {
		b.Run(name, func(b *testing.B) {
			_, op := hotPaths[name](b)
			for range 4096 {
				op()
			}
			b.ReportAllocs()
			for b.Loop() {
				op()
			}
		})
	}
}

// heldBytes gives the bytes of heap, per lock, of n locks held in EX or shared PR
// on names mastered here, all tables included; share locks are on each name.
func heldBytes(t testing.TB, n, share int) float64 {
	h := newHot(t, 1)
	h.q.Mode = EX
	if share > 1 {
		h.q.Mode = PR
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		if i%share == 0 {
			h.next(1)
		}
		if _, st := h.s.Lock(h.now, &h.q); st != wire.OK {
			t.Fatal(st)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if st := h.s.Stats(); st.Locks != n {
		t.Fatalf("%d locks, want %d", st.Locks, n)
	}
	return float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
}

// heldShares are how many locks are on each name, and how many bytes each may
// then take.
var heldShares = []struct {
	share int
	most  float64
}{{1, 310}, {4, 190}, {100, 145}}

func TestHeldBytes(t *testing.T) {
	for _, x := range heldShares {
		if got := heldBytes(t, 200_000, x.share); got > x.most {
			t.Errorf("%d locks a name: %.0f bytes for each, at most %.0f", x.share, got, x.most)
		}
	}
}

func BenchmarkHeld(b *testing.B) {
	for _, x := range heldShares {
		b.Run(fmt.Sprintf("%d-a-name", x.share), func(b *testing.B) {
			var bytes float64
			for b.Loop() {
				bytes = heldBytes(b, 1_000_000, x.share)
			}
			b.ReportMetric(bytes, "B/lock")
		})
	}
}

// TestSizes: what a held lock takes on its master besides its part of the tables. The whole
// is to stay below 300 bytes; the tables take 15 to 29.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(resource{}) + unsafe.Sizeof(Lock{}); n > 264 {
		t.Errorf("a name with a lock takes %d bytes", n)
	}
}
