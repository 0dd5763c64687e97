package lockify

import (
	"bytes"
	"testing"
)

// behaviours is what every way to reach a node must do.
var behaviours = []struct {
	name string
	run  func(t *testing.T, e *env)
}{
	{"lock convert unlock", testLockConvertUnlock},
	{"modes", testModes},
	{"noqueue", testNoQueue},
	{"noqueue blocking", testNoQueueBlocking},
	{"waiter is granted", testWaiterIsGranted},
	{"blocking callback", testBlocking},
	{"queue convert", testQueueConvert},
	{"deadlock", testDeadlock},
	{"demote on deadlock", testDemote},
	{"value", testValue},
	{"invalid value", testInvalidValue},
	{"value sizes", testValueSizes},
	{"tokens", testTokens},
	{"busy", testBusy},
	{"not held", testNotHeld},
	{"arguments", testArguments},
	{"names are bytes", testNameBytes},
	{"spaces are separate", testSeparateSpaces},
	{"mismatch", testMismatch},
	{"ranges", testRanges},
	{"range arguments", testRangeArguments},
	{"new", testNew},
	{"cancel", testCancelWaiting},
	{"cancel async", testCancelAsync},
	{"cancel convert", testCancelConvert},
	{"context has ended", testEndedContext},
	{"async", testAsync},
	{"close", testCloseSpace},
	{"close while waiting", testCloseWhileWaiting},
	{"close with an ended context", testCloseEnded},
	{"timeout", testTimedOut},
	{"timeout of a conversion", testTimeoutConvert},
	{"head of queue", testHeadOfQueue},
	{"no order", testNoOrder},
	{"expedite", testExpedite},
	{"alternate mode", testAlternate},
	{"orphan", testOrphan},
	{"orphan of a request", testOrphanWaiting},
	{"purge", testPurge},
	{"force", testForce},
	{"option rules", testOptionRules},
	{"retire", testRetire},
}

func TestBehaviour(t *testing.T) {
	eachWay(t, func(t *testing.T, e *env) {
		for _, b := range behaviours {
			t.Run(b.name, func(t *testing.T) { b.run(t, e) })
		}
	})
}

func testLockConvertUnlock(t *testing.T, e *env) {
	name := e.name()
	l := e.must(t, e.a, name, NL)
	if l.Name() != name || l.Mode() != NL {
		t.Fatalf("got %q in %s", l.Name(), l.Mode())
	}
	for _, m := range []Mode{CR, CW, PR, PW, EX, PW, PR, CW, CR, NL} {
		e.convert(t, l, m)
		if l.Mode() != m {
			t.Fatalf("mode %s after conversion to %s", l.Mode(), m)
		}
	}
	if isClosed(l.Lost()) {
		t.Fatal("lost while held")
	}
	e.unlock(t, l)
	if isClosed(l.Lost()) {
		t.Fatal("unlock counts as loss")
	}
	e.unlock(t, e.must(t, e.b, name, EX))
}

// testModes compares with the table of the package documentation.
func testModes(t *testing.T, e *env) {
	together := map[Mode]string{
		NL: "NL CR CW PR PW EX", CR: "NL CR CW PR PW", CW: "NL CR CW", PR: "NL CR PR", PW: "NL CR", EX: "NL",
	}
	for held := range together {
		for want := range together {
			name := e.name()
			l := e.must(t, e.a, name, held)
			l2, err := e.b.TryLock(e.ctx, name, want)
			if bytes.Contains([]byte(together[held]), []byte(want.String())) {
				expect(t, held.String()+" beside "+want.String(), err, nil)
				e.unlock(t, l2)
			} else {
				expect(t, held.String()+" against "+want.String(), err, ErrWouldBlock)
			}
			e.unlock(t, l)
		}
	}
}

func testNoQueue(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	l := e.must(t, e.a, name, EX, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	_, err := e.b.TryLock(e.ctx, name, PR)
	expect(t, "TryLock", err, ErrWouldBlock)
	_, err = e.b.Lock(e.ctx, name, PR, NoQueue())
	expect(t, "Lock with NoQueue", err, ErrWouldBlock)
	weak := e.must(t, e.b, name, NL)
	expect(t, "Convert with NoQueue", weak.Convert(e.ctx, PR, NoQueue()), ErrWouldBlock)
	if weak.Mode() != NL {
		t.Fatalf("mode %s after a conversion that failed", weak.Mode())
	}
	select {
	case m := <-asked:
		t.Fatalf("the holder was asked for %s", m)
	default:
	}
	e.unlock(t, weak)
	e.unlock(t, l)
}

func testNoQueueBlocking(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	l := e.must(t, e.a, name, EX, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	_, err := e.b.Lock(e.ctx, name, PR, NoQueueBlocking())
	expect(t, "Lock", err, ErrWouldBlock)
	if m := wait(t, e.ctx, "the blocking call", asked); m != PR {
		t.Fatalf("asked for %s", m)
	}
	e.unlock(t, l)
}

func testWaiterIsGranted(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	l := e.must(t, e.a, name, EX, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	ch := begin(e.ctx, e.b, name, PR)
	wait(t, e.ctx, "the blocking call", asked) // so it waits at the master now
	e.convert(t, l, PR)
	got := wait(t, e.ctx, "the grant", ch)
	expect(t, "Lock", got.err, nil)
	e.unlock(t, got.l)
	e.unlock(t, l)
}

// testBlocking gives the lock up in its own callback, as programs do.
func testBlocking(t *testing.T, e *env) {
	name := e.name()
	done := make(chan error, 1)
	e.must(t, e.a, name, EX, OnBlocking(func(l *Lock, m Mode) {
		if m != PW {
			t.Errorf("asked for %s", m)
		}
		done <- l.Unlock(e.ctx)
	}))
	l := e.must(t, e.b, name, PW)
	expect(t, "Unlock in the callback", wait(t, e.ctx, "the blocking call", done), nil)
	e.unlock(t, l)
}

func testQueueConvert(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	holder := e.must(t, e.a, name, PR, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	first, second := e.must(t, e.a, name, NL), e.must(t, e.b, name, NL)
	ch := beginConvert(e.ctx, first, EX)
	wait(t, e.ctx, "the blocking call", asked)
	expect(t, "behind the waiting one", second.Convert(e.ctx, CR, QueueConvert(), NoQueue()), ErrWouldBlock)
	expect(t, "in place", second.Convert(e.ctx, CR, NoQueue()), nil)
	e.unlock(t, holder)
	e.unlock(t, second)
	expect(t, "the first", wait(t, e.ctx, "the conversion", ch), nil)
	e.unlock(t, first)
}

func testDeadlock(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	a := e.must(t, e.a, name, PR)
	b := e.must(t, e.b, name, PR, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	ch := beginConvert(e.ctx, a, EX)
	wait(t, e.ctx, "the blocking call", asked)
	expect(t, "the second conversion", b.Convert(e.ctx, EX), ErrDeadlock)
	if b.Mode() != PR {
		t.Fatalf("mode %s after a deadlock", b.Mode())
	}
	e.unlock(t, b)
	expect(t, "the first conversion", wait(t, e.ctx, "the grant", ch), nil)
	e.unlock(t, a)
}

func testDemote(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	a := e.must(t, e.a, name, PR)
	b := e.must(t, e.b, name, PR, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	first := beginConvert(e.ctx, a, EX)
	wait(t, e.ctx, "the blocking call", asked)
	second := beginConvert(e.ctx, b, EX, DemoteOnDeadlock())
	expect(t, "the first conversion", wait(t, e.ctx, "the first grant", first), nil)
	e.unlock(t, a)
	expect(t, "the second conversion", wait(t, e.ctx, "the second grant", second), nil)
	if b.Mode() != EX {
		t.Fatalf("mode %s", b.Mode())
	}
	e.unlock(t, b)
}

func testValue(t *testing.T, e *env) {
	name := e.name()
	keep := e.must(t, e.a, name, NL) // while nobody has a lock, the value is forgotten
	l := e.must(t, e.b, name, EX, ReadValue())
	if v, ok := l.Value(); ok {
		t.Fatalf("a value %q that nobody wrote", v)
	}
	buf := []byte("hello")
	e.unlock(t, l, WithValue(buf))
	copy(buf, "xxxxx") // it must not have been kept
	want := append([]byte("hello"), make([]byte, DefaultValueSize-5)...)
	for _, s := range []*Lockspace{e.a, e.b} {
		l := e.must(t, s, name, PR, ReadValue())
		if v, ok := l.Value(); !ok || !bytes.Equal(v, want) {
			t.Fatalf("value %q, valid %v", v, ok)
		}
		e.unlock(t, l)
	}
	l = e.must(t, e.b, name, PW)
	if v, ok := l.Value(); ok {
		t.Fatalf("value %q without ReadValue", v)
	}
	e.convert(t, l, CR, WithValue([]byte("second"))) // gives PW up
	e.convert(t, keep, PR, ReadValue())
	if v, ok := keep.Value(); !ok || string(v[:6]) != "second" {
		t.Fatalf("value %q, valid %v", v, ok)
	}
	// From a mode that may not write, an unlock writes nothing.
	e.unlock(t, l, WithValue([]byte("third")))
	e.convert(t, keep, EX, ReadValue())
	if v, ok := keep.Value(); !ok || string(v[:6]) != "second" {
		t.Fatalf("value %q, valid %v", v, ok)
	}
	e.unlock(t, keep)
}

func testInvalidValue(t *testing.T, e *env) {
	name := e.name()
	keep := e.must(t, e.a, name, NL)
	l := e.must(t, e.b, name, EX)
	e.convert(t, l, NL, WithValue([]byte("v")))
	e.convert(t, l, EX, ReadValue())
	if _, ok := l.Value(); !ok {
		t.Fatal("value not valid")
	}
	e.unlock(t, l, InvalidateValue())
	e.convert(t, keep, PR, ReadValue())
	if v, ok := keep.Value(); ok {
		t.Fatalf("value %q is still valid", v)
	}
	e.unlock(t, keep)
}

func testTokens(t *testing.T, e *env) {
	name := e.name()
	last := uint64(0)
	for i := range 10 {
		l := e.must(t, []*Lockspace{e.a, e.b}[i%2], name, []Mode{EX, PW}[i/2%2])
		if l.Token() <= last {
			t.Fatalf("token %d after %d", l.Token(), last)
		}
		last = l.Token()
		e.convert(t, l, PR)
		e.convert(t, l, EX) // a new exclusive grant
		if l.Token() <= last {
			t.Fatalf("token %d after %d of a conversion", l.Token(), last)
		}
		last = l.Token()
		if i%3 == 2 {
			e.convert(t, l, PR)
			r := e.must(t, e.b, name, PR)
			if r.Token() < last {
				t.Fatalf("a reader's token %d is below the last writer's %d", r.Token(), last)
			}
			e.unlock(t, r)
		}
		e.unlock(t, l)
	}
}

func testBusy(t *testing.T, e *env) {
	name := e.name()
	asked := make(chan Mode, 9)
	holder := e.must(t, e.a, name, PR, OnBlocking(func(_ *Lock, m Mode) { asked <- m }))
	l := e.must(t, e.b, name, NL)
	ch := beginConvert(e.ctx, l, EX)
	wait(t, e.ctx, "the blocking call", asked)
	expect(t, "Convert", l.Convert(e.ctx, NL), ErrBusy)
	expect(t, "Unlock", l.Unlock(e.ctx), ErrBusy)
	async := make(chan error, 2)
	l.ConvertAsync(NL, func(err error) { async <- err })
	l.UnlockAsync(func(err error) { async <- err })
	expect(t, "ConvertAsync", wait(t, e.ctx, "the call", async), ErrBusy)
	expect(t, "UnlockAsync", wait(t, e.ctx, "the call", async), ErrBusy)
	e.unlock(t, holder)
	expect(t, "the conversion", wait(t, e.ctx, "the grant", ch), nil)
	e.unlock(t, l)
}

func testNotHeld(t *testing.T, e *env) {
	l := e.must(t, e.a, e.name(), EX)
	e.unlock(t, l)
	expect(t, "second Unlock", l.Unlock(e.ctx), ErrNotHeld)
	expect(t, "Convert", l.Convert(e.ctx, NL), ErrNotHeld)
	l.Cancel() // nothing to withdraw
	if !isClosed(l.Confirmed()) {
		t.Fatal("not confirmed, and never will be")
	}
}

func testNameBytes(t *testing.T, e *env) {
	long := string(bytes.Repeat([]byte{0xff}, 64))
	for _, name := range []string{"\x00", "\x00\x00", "a/b", "\xff\xfe", long, long[:63]} {
		l := e.must(t, e.a, name, EX)
		_, err := e.b.TryLock(e.ctx, name, EX)
		expect(t, "TryLock of the same name", err, ErrWouldBlock)
		l2, err := e.b.TryLock(e.ctx, name[1:]+"x", EX)
		expect(t, "TryLock of another name", err, nil)
		e.unlock(t, l2)
		e.unlock(t, l)
	}
}

func testSeparateSpaces(t *testing.T, e *env) {
	name := e.name()
	other := e.open(t, 1, "other")
	if other.Name() != "other" || other.ValueSize() != DefaultValueSize {
		t.Fatalf("%q with values of %d bytes", other.Name(), other.ValueSize())
	}
	l := e.must(t, e.a, name, EX)
	l2, err := other.TryLock(e.ctx, name, EX)
	expect(t, "the same name in another lockspace", err, nil)
	e.unlock(t, l2)
	e.unlock(t, l)
}

func testMismatch(t *testing.T, e *env) {
	small := e.open(t, 0, "small", ValueSize(8))
	l := e.must(t, small, e.name(), EX)
	expect(t, "value over the size", l.Unlock(e.ctx, WithValue(make([]byte, 9))), ErrInvalid)
	e.unlock(t, l, WithValue(make([]byte, 8)))
	open := e.nodes[0].Open
	if e.dial != nil {
		open = e.dial(t, 0).Open
	}
	_, err := open(e.ctx, "small")
	expect(t, "Open with another value size", err, ErrMismatch)
	e.open(t, 0, "ranges", RangeSeparator('/'))
	for _, opts := range [][]SpaceOption{nil, {RangeFirstSeparator('/')}, {RangeSeparator(0)}, {RangePrefix('/')}} {
		_, err = open(e.ctx, "ranges", opts...)
		expect(t, "Open with other range keys", err, ErrMismatch)
	}
	_, err = open(e.ctx, "ranges", RangeSeparator('/'))
	expect(t, "Open with the same range keys", err, nil)
}

func testNew(t *testing.T, e *env) {
	var names []string
	var locks []*Lock
	for range 20 {
		name := e.name()
		l := e.must(t, e.a, name, EX, New())
		if l.Messages() != 0 {
			t.Fatalf("waited for %d messages", l.Messages())
		}
		names, locks = append(names, name), append(locks, l)
	}
	expect(t, "Barrier", e.a.Barrier(e.ctx), nil)
	for i, l := range locks {
		if !isClosed(l.Confirmed()) || isClosed(l.Lost()) {
			t.Fatalf("%q: confirmed %v, lost %v", names[i], isClosed(l.Confirmed()), isClosed(l.Lost()))
		}
		_, err := e.b.TryLock(e.ctx, names[i], PR)
		expect(t, "TryLock at the other node", err, ErrWouldBlock)
		e.unlock(t, l)
	}
	// Where the name is known, New changes nothing.
	holder := e.must(t, e.b, names[0], EX)
	_, err := e.a.TryLock(e.ctx, names[0], EX, New())
	expect(t, "New of a name in use", err, ErrWouldBlock)
	e.unlock(t, holder)
}
