package lockify

import "testing"

// TestRemoteInPlace: who waits for another node's answer reads it himself, by the transport that
// is the default, and leaves that to others afterwards; who does not wait never reads.
func TestRemoteInPlace(t *testing.T) {
	if raceEnabled {
		t.Skip("without connections that others can read")
	}
	e := &env{ctx: testContext(t), nodes: startCluster(t, clusterOptions{nodes: 2})}
	e.a, e.b = e.open(t, 0, "test"), e.open(t, 1, "test")
	name := e.name()
	e.must(t, e.b, name, NL)          // node 2 is the master
	first := e.must(t, e.a, name, NL) // node 1 knows that now
	here := e.a.here

	l, err := e.a.newLock(name, PR, &Option{})
	if err != nil {
		t.Fatal(err)
	}
	b := here.lockHere(l, PR, &Option{}, false)
	if b.over || b.reads == nil {
		t.Fatalf("a request to another node: over %v, read in place %v", b.over, b.reads != nil)
	}
	if err := l.await(e.ctx, true, b, l.wake); err != nil || l.Mode() != PR {
		t.Fatalf("%v, holds %s", err, l.Mode())
	}
	if err := first.begin(&Option{}, opConvert, CR, nil, nil); err != nil {
		t.Fatal(err)
	}
	b = here.convert(first, CR, Option{}, false)
	if b.reads == nil {
		t.Error("a conversion is not read in place")
	}
	if err := first.await(e.ctx, false, b, nil); err != nil || first.Mode() != CR {
		t.Fatalf("%v, holds %s", err, first.Mode())
	}

	done := make(chan error, 2)
	first.ConvertAsync(PR, func(err error) { done <- err })
	e.a.LockAsync(name, CR, func(_ *Lock, err error) { done <- err })
	for range 2 {
		if err := wait(t, e.ctx, "the answer", done); err != nil {
			t.Error(err)
		}
	}
	again := e.must(t, e.a, name, CR) // would wait for ever if one of these had the reader's role still
	e.unlock(t, again)
}
