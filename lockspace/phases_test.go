package lockspace

import (
	"testing"

	"github.com/lockify-dlm/lockify/wire"
)

// Each bucket takes what is up to its bound, and no more.
func TestHistogram(t *testing.T) {
	for i := range Buckets {
		var h Histogram
		h.Observe(BucketBound(i), 2)
		h.Observe(BucketBound(i)+1, 1)
		if h.Counts[i] != 2 || h.Counts[i+1] != 1 || h.Total() != 3 || h.Nanos != uint64(3*BucketBound(i)+1) {
			t.Errorf("bucket %d: %+v", i, h)
		}
	}
	var h Histogram
	h.Observe(-1, 1)
	h.Observe(0, 1)
	h.Observe(1<<62, 1)
	if h.Counts[0] != 2 || h.Counts[Buckets] != 1 {
		t.Errorf("%+v", h)
	}
}

// A grant is counted once, by how it came, with the time that it took; what ends without
// one is counted as that.
func TestWays(t *testing.T) {
	c := newCluster(t, 2, 1, 0)
	here, there := c.mastered("h", 1, 0), c.mastered("t", 2, 0)
	n := c.node(1)
	sh := n.shards[0]
	base := sh.Stats()
	check := func(what string, quick, claimed uint64, asked, waited uint64, nanos uint64, pending int) {
		t.Helper()
		st := sh.Stats()
		if got := [2]uint64{st.Quick[0] - base.Quick[0], st.Quick[1] - base.Quick[1]}; got != [2]uint64{quick, claimed} {
			t.Errorf("%s: %v at once and claimed, want %d and %d", what, got, quick, claimed)
		}
		got, late := st.Grants[Asked].Total()-base.Grants[Asked].Total(), st.Grants[Waited].Total()-base.Grants[Waited].Total()
		took := st.Grants[Asked].Nanos + st.Grants[Waited].Nanos - base.Grants[Asked].Nanos - base.Grants[Waited].Nanos
		if got != asked || late != waited || took < nanos || took > nanos+20 || st.Pending != pending {
			t.Errorf("%s: %d asked, %d waited, %d ns, %d pending; want %d, %d, %d, %d", what, got, late, took, st.Pending, asked, waited, nanos, pending)
		}
	}
	a := n.lock(here, EX, 0)
	check("mastered here", 1, 0, 0, 0, 0, 0)
	b := n.lock(here, EX, 0)
	check("behind it", 1, 0, 0, 0, 0, 1)
	c.now += 1000
	a.unlock(0, nil)
	check("in turn", 1, 0, 0, 1, 1000, 0)
	b.convert(NL, 0, nil).convert(EX, 0, nil)
	check("conversions", 3, 0, 0, 1, 1000, 0)

	x := n.lock(there, EX, 0)
	check("on its way", 3, 0, 0, 1, 1000, 1)
	c.now += 5000
	c.settle()
	check("mastered there", 3, 0, 1, 1, 6000, 0)
	y := n.lock(there, PR, 0)
	c.settle()
	z := n.lock(there, PR, NoQueue)
	c.settle()
	c.now += 300
	x.unlock(0, nil)
	c.settle()
	check("in turn there", 3, 0, 1, 2, 6300, 0)
	if st := sh.Stats(); st.Refused[wire.WouldBlock] != 1 || z.last.Status != wire.WouldBlock {
		t.Errorf("%v, %d refused", z.last.Status, st.Refused[wire.WouldBlock])
	}
	y.unlock(0, nil)
	b.unlock(0, nil)
	c.windDown()
}

// A claim's grant is one, and the claim is open until it is answered.
func TestClaimTimes(t *testing.T) {
	c := newCluster(t, 2, 1, 0)
	n := c.node(1)
	l := n.lock(c.name("new", 2, 0), EX, NewName)
	c.now += 700
	c.settle()
	st := n.shards[0].Stats()
	if st.Quick != [2]uint64{0, 1} || st.ClaimTimes.Total() != 1 || st.ClaimTimes.Nanos < 700 || st.ClaimTimes.Nanos > 720 {
		t.Errorf("%v at once, claims %+v", st.Quick, st.ClaimTimes)
	}
	l.unlock(0, nil)
	c.windDown()
}
