package core_test

import (
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// fused makes a Compare or a Write at lba that is one of two.
func fused(op nvme.Opcode, lba uint64, data []byte, inCapsule bool) *nvme.Command {
	c := write(1, lba, data, inCapsule)
	c.Opcode = op
	if op == nvme.OpCompare {
		c.Flags |= nvme.FuseFirst
	} else {
		c.Flags |= nvme.FuseSecond
	}
	return c
}

// digested connects a host that has digests of data.
func digested(t *testing.T) *host {
	tg, p, _ := newTarget(t)
	_, io := pair(t, tg, p, nvme.ICReq{DataDigest: true}, 1)
	return io
}

// asked gives what R2Ts ask for, to be answered by sendData.
func (h *host) asked(n int) []nvme.R2T {
	h.t.Helper()
	all := h.r2t
	if h.r2t = nil; len(all) != n {
		h.t.Fatalf("%d R2Ts, not %d", len(all), n)
	}
	return all
}

// sendData answers an R2T, with a right or a wrong digest.
func (h *host) sendData(r nvme.R2T, wrong bool) {
	data := h.writes[r.CID][r.Offset:][:r.Length]
	d := nvme.Data(r)
	h.digest(append(h.format.AppendH2C(nil, &d, nvme.FlagLast), data...), data, wrong)
}

// sendCapsule sends a command with its data, with a right or a wrong digest.
func (h *host) sendCapsule(c *nvme.Command, data []byte, wrong bool) uint16 {
	h.cid++
	c.CID = h.cid
	h.digest(append(h.format.AppendCommand(nil, c, uint32(len(data))), data...), data, wrong)
	return c.CID
}

func (h *host) digest(pdu, data []byte, wrong bool) {
	sum := nvme.Digest(0, data)
	if wrong {
		sum ^= 1
	}
	pdu = nvme.AppendDigest(pdu, sum)
	h.bytes(pdu, len(pdu))
}

// ended fails if a command has not ended as it should.
func (h *host) ended(cid uint16, want nvme.Status) {
	h.t.Helper()
	if r, ok := h.done[cid]; !ok || r.Status.Code() != want.Code() {
		h.t.Errorf("command %d has ended: %v, with %v, want %v", cid, ok, r.Status, want)
	}
}

// TestFusedDamaged: data of one of two fused commands that does not fit its digest ends both,
// and neither has anything to do with those that come later.
func TestFusedDamaged(t *testing.T) {
	data := make([]byte, 4096)
	for damaged, name := range []string{"data of the first", "data of the second"} {
		t.Run(name, func(t *testing.T) {
			io := digested(t)
			cids := [2]uint16{io.submit(fused(nvme.OpCompare, 0, data, false), data), io.submit(fused(nvme.OpWrite, 0, data, false), data)}
			for i, r := range io.asked(2) {
				io.sendData(r, i == damaged)
			}
			io.ended(cids[damaged], nvme.StatusTransientTransport)
			io.ended(cids[1-damaged], nvme.StatusFusedFailed)
		})
	}
	t.Run("capsule of the first", func(t *testing.T) {
		io := digested(t)
		a := io.sendCapsule(fused(nvme.OpCompare, 0, data, true), data, true)
		b := io.sendCapsule(fused(nvme.OpWrite, 0, data, true), data, false)
		io.ended(a, nvme.StatusTransientTransport)
		io.ended(b, nvme.StatusFusedMissing)
	})
	t.Run("capsule of the second", func(t *testing.T) {
		io := digested(t)
		a := io.sendCapsule(fused(nvme.OpCompare, 0, data, true), data, false)
		b := io.sendCapsule(fused(nvme.OpWrite, 0, data, true), data, true)
		io.ended(a, nvme.StatusFusedMissing)
		io.ended(b, nvme.StatusTransientTransport)
	})
}

// TestFusedMixed: a Write whose own Compare came damaged does not take that of another pair.
func TestFusedMixed(t *testing.T) {
	io := digested(t)
	at0, at8, other := pattern(4096, 1), pattern(4096, 2), pattern(4096, 3)
	io.want(nvme.StatusSuccess, write(1, 0, at0, true), at0)
	io.want(nvme.StatusSuccess, write(1, 8, at8, true), at8)
	a, b := io.submit(fused(nvme.OpCompare, 0, other, false), other), io.submit(fused(nvme.OpWrite, 0, other, false), other)
	old := io.asked(2)
	io.sendData(old[0], true)
	io.ended(a, nvme.StatusTransientTransport)
	c, d := io.submit(fused(nvme.OpCompare, 8, at8, false), at8), io.submit(fused(nvme.OpWrite, 8, other, false), other)
	r := io.asked(2)
	io.sendData(r[0], false)
	io.sendData(old[1], false)
	io.sendData(r[1], false)
	io.ended(b, nvme.StatusFusedFailed)
	io.ended(c, nvme.StatusSuccess)
	io.ended(d, nvme.StatusSuccess)
	if got := io.want(nvme.StatusSuccess, read(1, 0, 4096), nil); string(got) != string(at0) {
		t.Error("written without its compare")
	}
}

// TestFusedSlot: a slot that was of one of two fused commands has nobody's end but its own,
// also where the device takes its time.
func TestFusedSlot(t *testing.T) {
	io := digested(t)
	data := pattern(4096, 1)
	io.submit(fused(nvme.OpCompare, 0, data, false), data)
	io.submit(fused(nvme.OpWrite, 0, data, false), data)
	r := io.asked(2)
	io.sendData(r[0], true)
	io.submit(fused(nvme.OpCompare, 8, data, true), data)
	io.sendData(r[1], false)
	io.sendCapsule(fused(nvme.OpWrite, 16, data, true), data, false) // not where its Compare is
	io.hold = true
	for range 2 {
		io.sendCapsule(write(1, 24, data, true), data, false)
	}
	for range 3 {
		bad := nvme.Command{Opcode: 0x80, NSID: 1}
		bad.SetData(0, false)
		io.submit(&bad, nil)
	}
	io.letGo()
	io.want(nvme.StatusSuccess, read(1, 0, 4096), nil)
}
