package byterange

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	const top = math.MaxInt64
	for _, c := range []struct {
		start, length int64
		want          Range
		err           error
	}{
		{0, 1, Range{0, 0}, nil},
		{10, 5, Range{10, 14}, nil},
		{0, 0, Range{0, top}, nil},
		{7, 0, Range{7, top}, nil},
		{top, 0, Range{top, top}, nil},
		{top, 1, Range{top, top}, nil},
		{1, top, Range{1, top}, nil},
		{0, top, Range{0, top - 1}, nil},
		{10, -10, Range{0, 9}, nil},
		{10, -1, Range{9, 9}, nil},
		{-1, 1, Range{}, ErrStart},
		{-1, 0, Range{}, ErrStart},
		{math.MinInt64, top, Range{}, ErrStart},
		{10, -11, Range{}, ErrStart},
		{0, -1, Range{}, ErrStart},
		{5, math.MinInt64, Range{}, ErrStart},
		{top, 2, Range{}, ErrOverflow},
		{2, top, Range{}, ErrOverflow},
		{top, top, Range{}, ErrOverflow},
	} {
		got, err := New(c.start, c.length)
		if got != c.want || !errors.Is(err, c.err) || c.err == nil && !got.Valid() {
			t.Errorf("New(%d, %d): %v, %v; want %v, %v", c.start, c.length, got, err, c.want, c.err)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("start %d, length %d", c.start, c.length)) {
			t.Errorf("error %q does not say of what", err)
		}
	}
	for r, want := range map[Range]bool{{0, 0}: true, {0, top}: true, {-1, 0}: false, {3, 2}: false, {0, -1}: false} {
		if r.Valid() != want {
			t.Errorf("%v valid: %v", r, !want)
		}
	}
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{None.String(), "none"}, {Read.String(), "read"}, {Write.String(), "write"}, {Type(3).String(), "type 3"},
		{Range{3, 9}.String(), "3-9"}, {Range{3, Last}.String(), "3-end"},
		{Held{Owner{7<<16 | 2, 256, 5}, Lock{Write, Range{0, 9}}}.String(), "write 0-9 of owner 5 of node 2"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func owner(n int) Owner {
	return Owner{Node: uint64(n%2 + 1), Handle: uint64(n % 3), Number: uint64(n)}
}

// show gives the locks of an owner as text: "r0-9 w12-end".
func show(tb *Table, o Owner) string {
	var out []string
	tb.Each(func(h Held) bool {
		if h.Owner == o {
			out = append(out, h.Type.String()[:1]+h.Range.String())
		}
		return true
	})
	return strings.Join(out, " ")
}

// The cases of fcntl(2): what one owner's operations leave behind.
func TestSet(t *testing.T) {
	type op struct {
		typ           Type
		start, length int64
	}
	for _, c := range []struct {
		name string
		ops  []op
		want string
	}{
		{"one", []op{{Write, 10, 10}}, "w10-19"},
		{"the same again", []op{{Write, 10, 10}, {Write, 10, 10}}, "w10-19"},
		{"inside the same", []op{{Write, 10, 10}, {Write, 12, 2}}, "w10-19"},
		{"neighbours join", []op{{Read, 0, 10}, {Read, 10, 10}}, "r0-19"},
		{"neighbours join upwards", []op{{Read, 10, 10}, {Read, 0, 10}}, "r0-19"},
		{"a gap is filled", []op{{Read, 0, 10}, {Read, 20, 10}, {Read, 10, 10}}, "r0-29"},
		{"neighbours of two types", []op{{Read, 0, 10}, {Write, 10, 10}}, "r0-9 w10-19"},
		{"overlap", []op{{Read, 0, 15}, {Read, 10, 10}}, "r0-19"},
		{"upgrade a part", []op{{Read, 0, 30}, {Write, 10, 10}}, "r0-9 w10-19 r20-29"},
		{"downgrade a part", []op{{Write, 0, 30}, {Read, 10, 10}}, "w0-9 r10-19 w20-29"},
		{"upgrade and back", []op{{Read, 0, 30}, {Write, 10, 10}, {Read, 10, 10}}, "r0-29"},
		{"upgrade the head", []op{{Read, 0, 30}, {Write, 0, 10}}, "w0-9 r10-29"},
		{"upgrade the tail", []op{{Read, 0, 30}, {Write, 20, 10}}, "r0-19 w20-29"},
		{"unlock the middle", []op{{Write, 0, 30}, {None, 10, 10}}, "w0-9 w20-29"},
		{"unlock the head", []op{{Write, 0, 30}, {None, 0, 10}}, "w10-29"},
		{"unlock the tail", []op{{Write, 0, 30}, {None, 20, 100}}, "w0-19"},
		{"unlock all", []op{{Write, 0, 30}, {Read, 50, 1}, {None, 0, 0}}, ""},
		{"unlock over several", []op{{Write, 0, 10}, {Read, 20, 10}, {Write, 40, 10}, {None, 5, 40}}, "w0-4 w45-49"},
		{"unlock nothing", []op{{Write, 0, 10}, {None, 10, 10}}, "w0-9"},
		{"over several", []op{{Read, 0, 10}, {Write, 20, 10}, {Read, 40, 10}, {Write, 5, 40}}, "r0-4 w5-44 r45-49"},
		{"to the end", []op{{Write, 100, 0}}, "w100-end"},
		{"split at the end", []op{{Write, 0, 0}, {None, Last, 1}}, fmt.Sprintf("w0-%d", Last-1)},
		{"up to the end", []op{{Write, 5, 0}, {Read, 10, 0}}, "w5-9 r10-end"},
		{"byte 0", []op{{Write, 0, 1}, {None, 0, 1}}, ""},
		{"backwards", []op{{Write, 10, -5}}, "w5-9"},
	} {
		var tb Table
		for _, p := range c.ops {
			r, err := New(p.start, p.length)
			if err != nil {
				t.Fatal(err)
			}
			before := tb.Len()
			grows := tb.Grows(owner(1), p.typ, r)
			tb.Set(owner(1), p.typ, r)
			if tb.Len() != before+grows {
				t.Errorf("%s: %d locks, then %d, foretold %+d", c.name, before, tb.Len(), grows)
			}
		}
		if got := show(&tb, owner(1)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if tb.Empty() != (c.want == "") {
			t.Errorf("%s: empty is %v", c.name, tb.Empty())
		}
	}
}

// Who is in whose way.
func TestConflict(t *testing.T) {
	var tb Table
	tb.Set(owner(1), Read, Range{0, 9})
	tb.Set(owner(2), Read, Range{5, 19})
	tb.Set(owner(3), Write, Range{30, 39})
	for _, c := range []struct {
		who  int
		typ  Type
		r    Range
		want string // "": none
	}{
		{4, Read, Range{0, 19}, ""},
		{4, Read, Range{0, 30}, "3 w30-39"},
		{4, Write, Range{0, 50}, "1 r0-9"},
		{1, Write, Range{0, 50}, "2 r5-19"},
		{1, Write, Range{0, 4}, ""},
		{1, Write, Range{0, 5}, "2 r5-19"},
		{3, Write, Range{30, 39}, ""},
		{3, Write, Range{20, 50}, ""},
		{4, Write, Range{20, 29}, ""},
		{4, Write, Range{40, Last}, ""},
		{4, Read, Range{39, 39}, "3 w30-39"},
		{4, None, Range{0, Last}, ""},
	} {
		h, ok := tb.Conflict(owner(c.who), c.typ, c.r)
		got := ""
		if ok {
			got = fmt.Sprintf("%d %s%v", h.Owner.Number, h.Type.String()[:1], h.Range)
		}
		if got != c.want {
			t.Errorf("owner %d %v %v: %q, want %q", c.who, c.typ, c.r, got, c.want)
		}
	}
	if !tb.Covers(owner(1), Read, Range{2, 9}) || tb.Covers(owner(1), Write, Range{2, 9}) || tb.Covers(owner(1), Read, Range{2, 10}) {
		t.Error("what owner 1 has covers something else")
	}
	if !tb.GivesUp(owner(3), None, Range{0, 30}) || tb.GivesUp(owner(3), None, Range{0, 29}) || !tb.GivesUp(owner(3), Read, Range{39, 50}) ||
		tb.GivesUp(owner(1), Read, Range{0, 5}) || tb.GivesUp(owner(3), Write, Range{39, 50}) || tb.GivesUp(owner(9), None, Range{0, Last}) {
		t.Error("owner 1 or 3 gives up something else")
	}
}

// model is the table as it would be without any cleverness: a type for each
// byte of each owner.
type model struct {
	bytes map[Owner]*[size]Type
}

const size = 24

func (m *model) of(o Owner) *[size]Type {
	if m.bytes[o] == nil {
		m.bytes[o] = &[size]Type{}
	}
	return m.bytes[o]
}

func (m *model) blocked(q *Request) bool {
	for o, b := range m.bytes {
		for i := q.Start; i <= q.End && o != q.Owner; i++ {
			if b[i] == Write && q.Type != None || b[i] == Read && q.Type == Write {
				return true
			}
		}
	}
	return false
}

// locks gives the maximal runs of equal bytes: what the set must be.
func (m *model) locks(o Owner) (out set) {
	b := m.of(o)
	for i := 0; i < size; {
		j := i
		for j < size && b[j] == b[i] {
			j++
		}
		if b[i] != None {
			out = append(out, Lock{b[i], Range{int64(i), int64(j - 1)}})
		}
		i = j
	}
	return out
}

// waitsForItself is the wait-for graph, closed by brute force.
func (m *model) waitsForItself(tb *Table, q *Request) bool {
	blockers := func(w *Request) (out []Owner) {
		for o := range m.bytes {
			alone := model{bytes: map[Owner]*[size]Type{o: m.bytes[o]}}
			if alone.blocked(w) {
				out = append(out, o)
			}
		}
		return out
	}
	reach := map[Owner]bool{}
	for _, o := range blockers(q) {
		reach[o.anyHandle()] = true
	}
	for range len(m.bytes) {
		for _, w := range tb.queue {
			if reach[w.Owner.anyHandle()] {
				for _, o := range blockers(w) {
					reach[o.anyHandle()] = true
				}
			}
		}
	}
	return reach[q.Owner.anyHandle()]
}

func (m *model) check(t *testing.T, tb *Table, r *rand.Rand) {
	t.Helper()
	n := 0
	for o := range m.bytes {
		want := m.locks(o)
		if got := tb.locks(o); !slices.Equal(got, want) {
			t.Fatalf("owner %v has %v, want %v", o, got, want)
		}
		n += len(want)
	}
	if tb.Len() != n {
		t.Fatalf("%d locks, want %d", tb.Len(), n)
	}
	q := anyRequest(r)
	h, found := tb.Conflict(q.Owner, q.Type, q.Range)
	if found != m.blocked(q) {
		t.Fatalf("conflict of %+v: %v", q, found)
	}
	for o := range m.bytes {
		for _, l := range m.locks(o) {
			if found && o != q.Owner && l.Type.excludes(q.Type) && l.overlaps(q.Range) && l.Start < h.Start {
				t.Fatalf("%v is in the way of %v before %v", l, q.Lock, h)
			}
		}
	}
	covered, gives := true, false
	for i := q.Start; i <= q.End; i++ {
		covered = covered && m.of(q.Owner)[i] >= q.Type
		gives = gives || m.of(q.Owner)[i] == Write && q.Type == Read
	}
	if tb.Covers(q.Owner, q.Type, q.Range) != covered || tb.GivesUp(q.Owner, q.Type, q.Range) != gives {
		t.Fatalf("owner %v has %v: %v: covers %v, gives up %v", q.Owner, tb.locks(q.Owner), q.Lock, !covered, !gives)
	}
	for _, w := range tb.queue {
		if !m.blocked(w) {
			t.Fatalf("%+v waits for nobody", w)
		}
	}
}

func anyRequest(r *rand.Rand) *Request {
	a, b := int64(r.IntN(size)), int64(r.IntN(size))
	o := owner(r.IntN(5))
	if o.Number == 4 {
		o.Number = 0 // owner 0 through another handle
	}
	return &Request{Owner: o, Lock: Lock{Type(1 + r.IntN(2)), Range{min(a, b), max(a, b)}}}
}

// Random operations against the model, the queue run as a master runs it.
func TestRandom(t *testing.T) {
	deadlocks, grants := 0, 0
	for seed := range uint64(300) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			m := &model{bytes: map[Owner]*[size]Type{}}
			var tb Table
			put := func(o Owner, typ Type, rg Range) {
				tb.Set(o, typ, rg)
				for i := rg.Start; i <= rg.End; i++ {
					m.of(o)[i] = typ
				}
			}
			goOn := func() {
				for {
					var want *Request
					for _, w := range tb.queue {
						if !m.blocked(w) {
							want = w
							break
						}
					}
					if got := tb.Next(Range{0, Last}); got != want {
						t.Fatalf("next is %v, want %v", got, want)
					}
					if want == nil {
						return
					}
					grants++
					tb.Remove(want)
					put(want.Owner, want.Type, want.Range)
				}
			}
			for id := range uint64(200) {
				q := anyRequest(r)
				q.ID = id
				switch p := r.IntN(10); {
				case p < 6:
					if !m.blocked(q) {
						put(q.Owner, q.Type, q.Range)
						break
					}
					path := tb.Deadlock(q)
					if (path != nil) != m.waitsForItself(&tb, q) {
						t.Fatalf("deadlock of %+v: %v", q, path)
					}
					if path == nil {
						tb.Push(q)
						if !tb.Busy(q.Owner) || tb.Find(q.Owner.Node, q.Owner.Handle, id) != q {
							t.Fatalf("%+v does not wait", q)
						}
						break
					}
					deadlocks++
					checkWay(t, path, q)
				case p < 8:
					put(q.Owner, None, q.Range)
				case p < 9 && len(tb.queue) > 0:
					tb.Remove(tb.queue[r.IntN(len(tb.queue))])
				case r.IntN(5) == 0:
					dropHandle(t, &tb, m, q.Owner)
				}
				goOn()
				m.check(t, &tb, r)
			}
			for i := range 5 {
				dropHandle(t, &tb, m, owner(i))
			}
			if !tb.Empty() || tb.Len() != 0 || len(tb.Waiting()) != 0 {
				t.Fatalf("left: %+v", tb)
			}
		})
	}
	if deadlocks < 100 || grants < 1000 {
		t.Errorf("%d deadlocks and %d grants: the programs are too tame", deadlocks, grants)
	}
}

func dropHandle(t *testing.T, tb *Table, m *model, o Owner) {
	t.Helper()
	locks, waits := tb.Handle(o.Node, o.Handle)
	var want []*Request
	for _, w := range tb.queue {
		if w.Owner.Node == o.Node && w.Owner.Handle == o.Handle {
			want = append(want, w)
		}
	}
	n := tb.Len()
	got := tb.DropHandle(o.Node, o.Handle)
	if !slices.Equal(got, want) || len(want) != waits || tb.Len() != n-locks {
		t.Fatalf("dropped %v, want %v; %d locks of %d, %d were the handle's", got, want, tb.Len(), n, locks)
	}
	for p := range m.bytes {
		if p.Node == o.Node && p.Handle == o.Handle {
			delete(m.bytes, p)
		}
	}
	if tb.Find(o.Node, o.Handle, 0) != nil || tb.Busy(o) {
		t.Fatal("its requests are still there")
	}
}

// A long chain of waiting owners is looked through; beyond the bound the
// search gives up instead of taking for ever.
func TestDeadlockBound(t *testing.T) {
	for _, c := range []struct {
		owners int
		want   bool
	}{{2, true}, {100, true}, {maxEdges, false}} {
		var tb Table
		for i := range c.owners {
			o := Owner{Number: uint64(i)}
			tb.Set(o, Write, Range{int64(i), int64(i)})
			if i > 0 {
				tb.Push(&Request{Owner: o, Lock: Lock{Write, Range{int64(i - 1), int64(i - 1)}}})
			}
		}
		last := int64(c.owners - 1)
		path := tb.Deadlock(&Request{Owner: Owner{}, Lock: Lock{Write, Range{last, last}}})
		if (path != nil) != c.want || c.want && len(path) != c.owners {
			t.Errorf("%d owners: a way of %d", c.owners, len(path))
		}
	}
}

// checkWay: each of a way's locks is in the way of its request, and its owner's is
// the next one, the last one's the first.
func checkWay(t *testing.T, way []Wait, q *Request) {
	t.Helper()
	for i, w := range way {
		if w.Blocker.Owner == w.Waiter.Owner || !w.Blocker.overlaps(w.Waiter.Range) || !w.Blocker.Type.excludes(w.Waiter.Type) {
			t.Fatalf("%v is not in the way of %+v", w.Blocker, w.Waiter)
		}
		if next := way[(i+1)%len(way)].Waiter; next.Owner.anyHandle() != w.Blocker.Owner.anyHandle() {
			t.Fatalf("%v is followed by a request of %v", w.Blocker, next.Owner)
		}
	}
	if way[0].Waiter != q {
		t.Fatalf("the way begins at %+v, not %+v", way[0].Waiter, q)
	}
}

// FuzzSet: whatever is set, the table is what the model says.
func FuzzSet(f *testing.F) {
	f.Add([]byte{1, 0, 9, 2, 3, 4, 0, 2, 8})
	f.Add([]byte{2, 0, 23, 0, 5, 5, 1, 5, 5, 2, 4, 6})
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := &model{bytes: map[Owner]*[size]Type{}}
		var tb Table
		for len(ops) >= 3 && tb.Len() < 100 {
			o := owner(int(ops[0] >> 4))
			typ, a, b := Type(ops[0]%3), int64(ops[1]%size), int64(ops[2]%size)
			ops = ops[3:]
			a, b = min(a, b), max(a, b)
			tb.Set(o, typ, Range{a, b})
			for i := a; i <= b; i++ {
				m.of(o)[i] = typ
			}
			if got, want := tb.locks(o), m.locks(o); !slices.Equal(got, want) {
				t.Fatalf("after %v %d-%d: %v, want %v", typ, a, b, got, want)
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	var tb Table
	for i := range 1000 {
		tb.Set(Owner{Number: uint64(i % 10)}, Write, Range{int64(i) * 10, int64(i)*10 + 4})
	}
	b.ReportAllocs()
	for b.Loop() {
		tb.Conflict(Owner{Number: 3}, Write, Range{5005, 5006})
		tb.Set(Owner{Number: 3}, Write, Range{5005, 5006})
		tb.Set(Owner{Number: 3}, None, Range{5005, 5006})
	}
}
