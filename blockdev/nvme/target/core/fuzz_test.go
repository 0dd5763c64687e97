package core_test

import (
	"testing"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
	"github.com/lockify-dlm/lockify/blockdev/nvme/target/core"
)

// fuzzSession gives a whole session's bytes to a target, in pieces: up to the Connect they
// are good, so that the fuzzer begins where it is interesting.
func fuzzSession(t *testing.T, digests bool, piece uint8, admin bool, input []byte) {
	tg, p, _ := newTarget(t)
	ic := nvme.ICReq{HeaderDigest: digests, DataDigest: digests}
	a, io := pair(t, tg, p, ic, 1)
	h := io
	if admin {
		h = a
	}
	h.loose = true
	h.bytes(input, int(piece)+1)
	if h.ses.Err() == nil {
		h.pump(0)
	}
	h.ses.Close()
	// Whatever came, others are served.
	_, other := pair(t, tg, p, nvme.ICReq{}, 2)
	var c nvme.Command
	c.SetFlush(1)
	if r, _ := other.do(&c, nil); !r.Status.OK() && r.Status.Code() != nvme.StatusReservation {
		t.Fatal(r.Status)
	}
}

func FuzzSession(f *testing.F) {
	add := func(admin bool, c *nvme.Command, data []byte) {
		b := append(nvme.Format{}.AppendCommand(nil, c, uint32(len(data))), data...)
		f.Add(false, uint8(255), admin, append(b, b...))
	}
	data := pattern(512, 1)
	add(false, write(1, 0, data, true), data)
	add(false, write(1, 0, data, false), nil)
	add(false, read(1, 0, 4096), nil)
	c := nvme.Command{CID: 3}
	c.SetDSM(nvme.DSM{NSID: 1, Ranges: 2, Deallocate: true}, true)
	add(false, &c, append((&nvme.Range{Blocks: 1}).Append(nil), (&nvme.Range{LBA: 4, Blocks: 2}).Append(nil)...))
	r, b := reserve(nvme.OpReservationRegister, nvme.Reservation{}, nvme.ReservationKeys{Other: 1})
	add(false, r, b)
	for _, cns := range []nvme.CNS{nvme.CNSController, nvme.CNSNamespace, nvme.CNSDescriptors} {
		c.SetIdentify(nvme.Identify{CNS: cns, NSID: 1})
		add(true, &c, nil)
	}
	c.SetLogPage(&nvme.LogPage{ID: nvme.LogANA, Length: 4096})
	add(true, &c, nil)
	c.SetAsyncEvent()
	add(true, &c, nil)
	c.SetSetFeatures(nvme.Feature{ID: nvme.FeatureHostBehavior}, nvme.HostBehaviorSize)
	add(true, &c, data)
	f.Add(true, uint8(7), false, (&nvme.TermReq{Status: nvme.FatalSequence}).Append(nil, nvme.Host))
	f.Fuzz(fuzzSession)
}

// FuzzGreeting gives a target bytes from the start of a connection on.
func FuzzGreeting(f *testing.F) {
	ic := (&nvme.ICReq{}).Append(nil)
	var c nvme.Command
	c.SetConnect(&nvme.Connect{SQSize: 31})
	d := nvme.ConnectData{CNTLID: nvme.CNTLIDDynamic, SubNQN: subNQN, HostNQN: hostNQN, HostID: [16]byte{1}}
	f.Add(uint8(255), append(nvme.Format{}.AppendCommand(ic, &c, nvme.ConnectDataSize), d.Append(nil)...))
	f.Add(uint8(1), ic)
	f.Fuzz(func(t *testing.T, piece uint8, input []byte) {
		tg, p, _ := newTarget(t)
		h := newHost(t, tg, p)
		h.loose = true
		h.bytes(input, int(piece)+1)
		h.ses.Close()
		if n := tg.Sessions(); n != 0 {
			t.Fatalf("%d sessions are left", n)
		}
	})
}

// FuzzAuthSession gives bytes to a queue whose host has to authenticate itself and knows no
// secret: it is never let in.
func FuzzAuthSession(f *testing.F) {
	add := func(piece uint8, sends ...[]byte) {
		var b []byte
		for _, m := range sends {
			var c nvme.Command
			c.SetAuthSend(uint32(len(m)), true)
			b = append(nvme.Format{}.AppendCommand(b, &c, uint32(len(m))), m...)
			c = nvme.Command{CID: 1}
			c.SetAuthReceive(nvme.MaxAuthMessage)
			b = nvme.Format{}.AppendCommand(b, &c, 0)
		}
		f.Add(piece, b)
	}
	negotiate := (&nvme.AuthMessage{ID: nvme.AuthNegotiate, Hashes: []byte{1}, Groups: []byte{0}}).Append(nil)
	reply := (&nvme.AuthMessage{ID: nvme.AuthReply, Response: pattern(32, 1), Challenge: pattern(32, 2), Seq: 1}).Append(nil)
	add(255, negotiate, reply)
	add(7, negotiate, (&nvme.AuthMessage{ID: nvme.AuthSuccess2}).Append(nil))
	add(255, negotiate, negotiate)
	add(255, reply)
	secret := newSecret(f)
	f.Fuzz(func(t *testing.T, piece uint8, input []byte) {
		tg, p := lockedTarget(t, core.Secrets{Host: secret, Controller: secret})
		h, _ := join(t, tg, p, 0, nvme.CNTLIDDynamic)
		h.loose = true
		h.bytes(input, int(piece)+1)
		if h.ses.Err() == nil {
			h.pump(0)
		}
		if h.ses.Authenticated() {
			t.Fatal("a host that knows no secret is let in")
		}
		h.ses.Close()
		if n := tg.Sessions(); n != 0 {
			t.Fatalf("%d sessions are left", n)
		}
	})
}
