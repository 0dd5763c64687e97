package core_test

import (
	"fmt"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// allowed is the table of the specification (base specification, "Command Behavior in the
// Presence of a Reservation"): who may read and write under a reservation of each type.
var allowed = [7]struct{ holder, registrant, other string }{
	nvme.NoReservation:                 {"rw", "rw", "rw"},
	nvme.WriteExclusive:                {"rw", "r", "r"},
	nvme.ExclusiveAccess:               {"rw", "", ""},
	nvme.WriteExclusiveRegistrants:     {"rw", "rw", "r"},
	nvme.ExclusiveAccessRegistrants:    {"rw", "rw", ""},
	nvme.WriteExclusiveAllRegistrants:  {"rw", "rw", "r"},
	nvme.ExclusiveAccessAllRegistrants: {"rw", "rw", ""},
}

// group are the commands of a group of that table. Each does no harm to the next.
type group struct {
	letter string
	send   []func(h *host) nvme.Status
}

func block(op nvme.Opcode, data bool) func(h *host) nvme.Status {
	return func(h *host) nvme.Status {
		var c nvme.Command
		c.SetIO(op, &nvme.IO{NSID: 1, Blocks: 1})
		var b []byte
		if data {
			b = make([]byte, 512)
			c.SetData(512, op != nvme.OpRead)
		}
		r, _ := h.do(&c, b)
		return r.Status.Code()
	}
}

func flush(nsid uint32) func(h *host) nvme.Status {
	return func(h *host) nvme.Status {
		var c nvme.Command
		c.SetFlush(nsid)
		r, _ := h.do(&c, nil)
		return r.Status.Code()
	}
}

func deallocate(h *host) nvme.Status {
	var c nvme.Command
	c.SetDSM(nvme.DSM{NSID: 1, Ranges: 1, Deallocate: true}, true)
	b := (&nvme.Range{LBA: 8, Blocks: 8}).Append(nil)
	r, _ := h.do(&c, b)
	return r.Status.Code()
}

// compareWrite gives the status of the fused pair: that of its first command, if that is
// not a success, else of the second.
func compareWrite(h *host) nvme.Status {
	var c, w nvme.Command
	zero := make([]byte, 512)
	c.SetIO(nvme.OpCompare, &nvme.IO{NSID: 1, Blocks: 1})
	w.SetIO(nvme.OpWrite, &nvme.IO{NSID: 1, Blocks: 1})
	c.Flags, w.Flags = nvme.FuseFirst, nvme.FuseSecond
	c.SetData(512, true)
	w.SetData(512, true)
	first := h.submit(&c, zero)
	second := h.submit(&w, zero)
	a, b := h.done[first].Status.Code(), h.done[second].Status.Code()
	if a.OK() {
		return b
	}
	if a == nvme.StatusFusedFailed {
		return b
	}
	return a
}

var groups = []group{
	{"r", []func(h *host) nvme.Status{block(nvme.OpRead, true), block(nvme.OpCompare, true), block(nvme.OpVerify, false)}},
	{"w", []func(h *host) nvme.Status{
		block(nvme.OpWrite, true), block(nvme.OpWriteZeroes, false), deallocate, flush(1), flush(nvme.NSIDAll), compareWrite,
	}},
}

// three are the hosts of the table, each with its key: one holds a reservation, one is
// registered, one is not.
func three(t *testing.T, kind nvme.ReservationType) (holder, registrant, other *host) {
	t.Helper()
	tg, p, _ := newTarget(t)
	_, holder = pair(t, tg, p, nvme.ICReq{}, 1)
	_, registrant = pair(t, tg, p, nvme.ICReq{}, 2)
	_, other = pair(t, tg, p, nvme.ICReq{}, 3)
	holder.register(10)
	registrant.register(20)
	if kind != nvme.NoReservation {
		holder.change(nvme.StatusSuccess, nvme.OpReservationAcquire, nvme.Reservation{Type: kind}, keys{10, 0})
	}
	return holder, registrant, other
}

// change does a reservation command that ends with st.
func (h *host) change(st nvme.Status, op nvme.Opcode, p params, k keys) {
	h.t.Helper()
	c, b := reserve(op, p, nvme.ReservationKeys{Current: k[0], Other: k[1]})
	h.want(st, c, b)
}

func TestReservationTypes(t *testing.T) {
	for kind, may := range allowed {
		t.Run(nvme.ReservationType(kind).String(), func(t *testing.T) {
			holder, registrant, other := three(t, nvme.ReservationType(kind))
			for _, who := range []struct {
				name string
				h    *host
				may  string
			}{{"holder", holder, may.holder}, {"registrant", registrant, may.registrant}, {"other", other, may.other}} {
				for _, g := range groups {
					want := nvme.Status(nvme.StatusReservation)
					for _, letter := range who.may {
						if string(letter) == g.letter {
							want = nvme.StatusSuccess
						}
					}
					for i, send := range g.send {
						if st := send(who.h); st != want {
							t.Errorf("%s, group %s, command %d: %v, not %v", who.name, g.letter, i, st, want)
						}
					}
				}
				who.h.report()
			}
		})
	}
}

// report asks for the status of the reservation, which everybody may.
func (h *host) report() nvme.ReservationStatus {
	h.t.Helper()
	var c nvme.Command
	c.SetReport(nvme.Report{NSID: 1, Extended: true, Length: 4096})
	s := nvme.ReservationStatus{Extended: true}
	h.must(s.Decode(h.want(nvme.StatusSuccess, &c, nil)))
	return s
}

// state is a report in short: type, and of each registrant host, key, * for holders.
func (h *host) state() string {
	h.t.Helper()
	s := h.report()
	out, keys := fmt.Sprint(uint8(s.Type)), map[byte]string{}
	for _, r := range s.Registrants {
		star := ""
		if r.Holder {
			star = "*"
		}
		keys[r.HostID[15]] = fmt.Sprintf(" %d:%d%s", r.HostID[15], r.Key, star)
	}
	for id := range byte(8) {
		out += keys[id]
	}
	return out
}

func (h *host) inState(want string) {
	h.t.Helper()
	if got := h.state(); got != want {
		h.t.Fatalf("the reservation is %q, not %q", got, want)
	}
}
