package core_test

import (
	"bytes"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

// TestHostile: what breaks the rules of the transport ends the session, with a TermReq
// that says why.
func TestHostile(t *testing.T) {
	big := pattern(64<<10, 1)
	h2c := func(h *host, d nvme.Data, flags nvme.PDUFlags) []byte {
		return append(h.format.AppendH2C(nil, &d, flags), big[:d.Length]...)
	}
	for _, tc := range []struct {
		name string
		want nvme.FatalStatus
		send func(h *host, r nvme.R2T) []byte
	}{
		{"a second ICReq", nvme.FatalSequence, func(*host, nvme.R2T) []byte { return (&nvme.ICReq{}).Append(nil) }},
		{"data for another tag", nvme.FatalHeaderField, func(h *host, r nvme.R2T) []byte {
			return h2c(h, nvme.Data{CID: r.CID, TTag: r.TTag + 1, Length: r.Length}, nvme.FlagLast)
		}},
		{"data with a tag out of range", nvme.FatalHeaderField, func(h *host, r nvme.R2T) []byte {
			return h2c(h, nvme.Data{CID: r.CID, TTag: 0xffff, Length: r.Length}, nvme.FlagLast)
		}},
		{"data for another command", nvme.FatalHeaderField, func(h *host, r nvme.R2T) []byte {
			return h2c(h, nvme.Data{CID: r.CID + 1, TTag: r.TTag, Length: r.Length}, nvme.FlagLast)
		}},
		{"data with a gap", nvme.FatalDataRange, func(h *host, r nvme.R2T) []byte {
			return h2c(h, nvme.Data{CID: r.CID, TTag: r.TTag, Offset: 4, Length: r.Length - 4}, nvme.FlagLast)
		}},
		{"too much data", nvme.FatalDataRange, func(h *host, r nvme.R2T) []byte {
			return h2c(h, nvme.Data{CID: r.CID, TTag: r.TTag, Length: r.Length + 4}, nvme.FlagLast)
		}},
		{"the last data without LAST_PDU", nvme.FatalHeaderField, func(h *host, r nvme.R2T) []byte {
			return h2c(h, nvme.Data{CID: r.CID, TTag: r.TTag, Length: r.Length}, 0)
		}},
		{"a capsule that is too large", nvme.FatalTransferLimit, func(h *host, _ nvme.R2T) []byte {
			return h.format.AppendCommand(nil, write(1, 0, big, true), uint32(len(big)))
		}},
		{"a PDU of the other role", nvme.FatalHeaderField, func(h *host, r nvme.R2T) []byte {
			return h.format.AppendR2T(nil, &r)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tg, p, _ := newTarget(t)
			_, h := pair(t, tg, p, nvme.ICReq{}, 1)
			h.submit(write(1, 0, big[:32<<10], false), big[:32<<10])
			b := tc.send(h, h.r2t[0])
			h.bytes(b, len(b))
			h.pump(0)
			if h.term == nil || h.term.Status != tc.want || h.ses.Err() == nil {
				t.Fatalf("TermReq %+v, session: %v; want %v", h.term, h.ses.Err(), tc.want)
			}
		})
	}
}

// TestTooManyCommands: a host has no more commands going than its queue has entries.
func TestTooManyCommands(t *testing.T) {
	tg, p, _ := newTarget(t)
	_, h := pair(t, tg, p, nvme.ICReq{}, 1)
	h.hold = true
	n := 0
	for ; h.ses.Err() == nil && n < core.MaxEntries; n++ {
		h.submit(read(1, 0, 512), nil)
	}
	if n != 65 || h.term == nil {
		t.Fatalf("the session ends at command %d: %v", n, h.ses.Err())
	}
}

// TestBufferLimit: a queue holds MaxBuffered bytes, and further commands wait for them.
func TestBufferLimit(t *testing.T) {
	tg, p, _ := newTarget(t)
	_, h := pair(t, tg, p, nvme.ICReq{}, 1)
	const most = core.MaxBuffered / core.MaxTransfer
	data := pattern(core.MaxTransfer, 9)
	for range 64 {
		h.submit(write(1, 0, data, false), data)
	}
	if len(h.r2t) != min(most, 64) {
		t.Fatalf("%d R2Ts, want %d", len(h.r2t), most)
	}
}

// TestFused: both or none of them.
func TestFused(t *testing.T) {
	tg, p, _ := newTarget(t)
	_, h := pair(t, tg, p, nvme.ICReq{}, 1)
	old, with := make([]byte, 512), pattern(512, 5)
	both := func(inCapsule bool) (a, b nvme.Status) {
		c := write(1, 3, old, inCapsule)
		c.Opcode = nvme.OpCompare
		c.Flags |= nvme.FuseFirst
		w := write(1, 3, with, inCapsule)
		w.Flags |= nvme.FuseSecond
		i, j := h.submit(c, old), h.submit(w, with)
		h.answer(512)
		return h.done[i].Status.Code(), h.done[j].Status.Code()
	}
	if a, b := both(false); a != 0 || b != 0 {
		t.Fatal(a, b)
	}
	h.expect(1, 3, with)
	if a, b := both(true); a != nvme.StatusCompareFailed || b != nvme.StatusFusedFailed {
		t.Fatal(a, b)
	}
	w := write(1, 3, with, true)
	w.Flags |= nvme.FuseSecond
	h.want(nvme.StatusFusedMissing, w, with)
	c := write(1, 3, old, false)
	c.Opcode = nvme.OpCompare
	c.Flags |= nvme.FuseFirst
	i := h.submit(c, old)
	h.expect(1, 3, with)
	h.answer(512)
	if st := h.done[i].Status.Code(); st != nvme.StatusFusedMissing {
		t.Fatal(st)
	}
}

// TestKeepAlive: a host that is silent loses its controller, with all queues.
func TestKeepAlive(t *testing.T) {
	tg, p, _ := newTarget(t)
	a, io := pair(t, tg, p, nvme.ICReq{}, 1)
	tg.Tick(5000)
	var c nvme.Command
	c.SetFlush(1)
	io.want(nvme.StatusSuccess, &c, nil) // any command will do
	tg.Tick(9000)
	tg.Tick(14000)
	if a.ses.Err() != nil {
		t.Fatal(a.ses.Err())
	}
	tg.Tick(14001)
	if a.ses.Err() == nil || io.ses.Err() == nil {
		t.Fatal("the controller outlives its keep alive timeout")
	}
}

// TestANA: I/O is refused where a group is not accessible, and the host is told, once
// until it has read the log.
func TestANA(t *testing.T) {
	tg, p, _ := newTarget(t)
	a, io := pair(t, tg, p, nvme.ICReq{}, 1)
	var c nvme.Command
	c.SetSetFeatures(nvme.Feature{ID: nvme.FeatureAsyncEvents, Value: uint32(nvme.EventsANA)}, 0)
	a.want(nvme.StatusSuccess, &c, nil)
	c.SetAsyncEvent()
	first := a.submit(&c, nil)
	second := a.submit(&c, nil)
	tg.SetANA(p, 1, nvme.ANAInaccessible)
	tg.SetANA(p, 1, nvme.ANAChange)
	io.want(nvme.StatusANATransition, read(1, 0, 512), nil)
	a.pump(0)
	ev := nvme.ParseAsyncEvent(a.done[first].Result)
	if ev.Info != nvme.NoticeANA || ev.Log != nvme.LogANA {
		t.Fatalf("%+v", ev)
	}
	tg.SetANA(p, 1, nvme.ANAOptimized)
	a.pump(0)
	if _, told := a.done[second]; told {
		t.Fatal("told again before the log was read")
	}
	c.SetLogPage(&nvme.LogPage{ID: nvme.LogANA, Length: 4096})
	page := a.want(nvme.StatusSuccess, &c, nil)
	var h nvme.ANAHeader
	var g nvme.ANAGroup
	if h.Decode(page) != nil || g.Decode(page[nvme.ANAHeaderSize:]) != nil || g.State != nvme.ANAOptimized || g.NSIDs.Len() != 1 {
		t.Fatalf("%+v %+v", h, g)
	}
	if _, told := a.done[second]; !told {
		t.Fatal("not told though the log was read")
	}
	io.want(nvme.StatusSuccess, read(1, 0, 512), nil)
	// nvme-cli reads pieces up to what Identify makes of it.
	c.SetLogPage(&nvme.LogPage{ID: nvme.LogANA, Length: 4096, Offset: 4096})
	if page := a.want(nvme.StatusSuccess, &c, nil); !bytes.Equal(page, make([]byte, 4096)) {
		t.Fatal("the rest of the log is not zero")
	}
	c.SetLogPage(&nvme.LogPage{ID: nvme.LogANA, Length: 512, Offset: 1 << 20})
	a.want(nvme.StatusInvalidField, &c, nil)
}

// TestStatus: a device's errors reach the host.
func TestStatus(t *testing.T) {
	tg, p, _ := newTarget(t)
	_, h := pair(t, tg, p, nvme.ICReq{}, 1)
	h.hold = true
	cid := h.submit(read(1, 0, 512), nil)
	h.ses.Done(h.held[0].Tag, blockdev.StatusReadError)
	h.pump(0)
	if st := h.done[cid].Status.Code(); st != nvme.StatusReadError || len(h.data[cid]) > 0 {
		t.Fatal(st)
	}
	h.hold = false
	h.want(nvme.StatusLBARange, read(1, 4<<20/512, 512), nil)
	h.want(nvme.StatusInvalidNamespace, read(2, 0, 512), nil)
}
