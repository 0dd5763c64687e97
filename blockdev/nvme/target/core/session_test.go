package core_test

import (
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

func TestReadWrite(t *testing.T) {
	for _, ic := range []nvme.ICReq{{}, {HeaderDigest: true, DataDigest: true}} {
		tg, p, _ := newTarget(t)
		_, io := pair(t, tg, p, ic, 1)
		small, large := pattern(4096, 1), pattern(core.MaxTransfer, 2)
		io.want(nvme.StatusSuccess, write(1, 8, small, true), small)
		io.want(nvme.StatusSuccess, write(1, 1000, large, false), large)
		io.expect(1, 8, small)
		io.expect(1, 1000, large)
	}
}

// TestEndsUnanswered: what has not begun when the controller ends is not answered, so that
// the host knows that it may do it again.
func TestEndsUnanswered(t *testing.T) {
	tg, p, _ := newTarget(t)
	admin, io := pair(t, tg, p, nvme.ICReq{}, 1)
	c := write(1, 8, pattern(512, 1), true)
	b := append(io.format.AppendCommand(nil, c, 512), pattern(512, 1)...)
	first, _ := io.ses.Room()
	io.ses.Received(copy(first, b))
	admin.ses.Close()
	if q, ok := io.ses.Next(); ok {
		t.Errorf("%v begins behind the end", q.Op)
	}
	if out := io.ses.Output(); len(out) > 0 || io.ses.Err() == nil {
		t.Errorf("%d answers; the session has ended with %v", len(out), io.ses.Err())
	}
}

// TestDiscoveryIdle: who connects to the discovery service without a keep alive timeout, and
// falls silent, does not keep others out.
func TestDiscoveryIdle(t *testing.T) {
	tg, p, _ := newTarget(t)
	connect := func() (*host, nvme.Status) {
		h := newHost(t, tg, p)
		h.greet(nvme.ICReq{})
		var c nvme.Command
		c.SetConnect(&nvme.Connect{SQSize: 31})
		d := nvme.ConnectData{CNTLID: nvme.CNTLIDDynamic, SubNQN: nvme.DiscoveryNQN, HostNQN: hostNQN, HostID: [16]byte{1}}
		r, _ := h.do(&c, d.Append(nil))
		return h, r.Status
	}
	now := uint64(1000)
	tg.Tick(now)
	var all []*host
	for range core.MaxControllers {
		h, st := connect()
		if !st.OK() {
			t.Fatal(st)
		}
		all = append(all, h)
	}
	if _, st := connect(); st.OK() {
		t.Fatal("there is room for more than MaxControllers")
	}
	for range 125 {
		now += 1000
		tg.Tick(now)
	}
	for i, h := range all {
		if h.ses.Err() == nil {
			t.Fatalf("session %d is still there", i)
		}
		h.ses.Close()
	}
	if _, st := connect(); !st.OK() {
		t.Errorf("another one gets: %v", st)
	}
}

// TestNoHostID: a host without an ID is not let in, as the base specification says: all of them would
// be one to reservations.
func TestNoHostID(t *testing.T) {
	tg, p, _ := newTarget(t)
	for _, sub := range []string{subNQN, nvme.DiscoveryNQN} {
		h := newHost(t, tg, p)
		h.greet(nvme.ICReq{})
		var c nvme.Command
		c.SetConnect(&nvme.Connect{SQSize: 31})
		d := nvme.ConnectData{CNTLID: nvme.CNTLIDDynamic, SubNQN: sub, HostNQN: hostNQN}
		if r, _ := h.do(&c, d.Append(nil)); r.Status.Code() != nvme.StatusConnectParameters {
			t.Errorf("%s: %v", sub, r.Status)
		}
	}
}
