package host

import (
	"bytes"
	"testing"

	"github.com/lockify-dlm/lockify/blockdev"
	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// A controller that comes back and takes less in a capsule gets less.
func TestSmallerCapsules(t *testing.T) {
	f := newFake(t)
	events := make(chan Event, 100)
	r := newRing(t, openFake(t, f, func(c *Config) { c.Notify = func(e Event) { events <- e } }), blockdev.RingConfig{})
	write := func(s *blockdev.SQE) { s.PrepWrite(0, random(4096)) }
	want(t, do(t, r, write), blockdev.OK)
	f.become(func() { f.id.IOCCSZ = 4 })
	await(events, Restored)
	want(t, do(t, r, write), blockdev.OK)
}

// A namespace that does not keep what programs were told of it is not taken for the one that was
// there.
func TestOtherNamespace(t *testing.T) {
	for name, change := range map[string]func(*nvme.IdentifyController, *nvme.IdentifyNamespace){
		"smaller transfers": func(c *nvme.IdentifyController, _ *nvme.IdentifyNamespace) { c.MDTS = 3 },
		"no Compare":        func(c *nvme.IdentifyController, _ *nvme.IdentifyNamespace) { c.ONCS &^= nvme.CommandCompare },
		"a cache":           func(c *nvme.IdentifyController, _ *nvme.IdentifyNamespace) { c.VWC = nvme.WriteCache },
		"metadata":          func(_ *nvme.IdentifyController, n *nvme.IdentifyNamespace) { n.Formats[0].Metadata = 8 },
		"another one":       func(_ *nvme.IdentifyController, n *nvme.IdentifyNamespace) { n.NGUID[0] = 1 },
		"fewer blocks":      func(_ *nvme.IdentifyController, n *nvme.IdentifyNamespace) { n.NSZE-- },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			events := make(chan Event, 100)
			r := newRing(t, openFake(t, f, func(c *Config) { c.Notify = func(e Event) { events <- e } }), blockdev.RingConfig{})
			was, wasNS := f.id, f.ns
			f.become(func() { change(&f.id, &f.ns) })
			for e := range events {
				if e.Kind == Refused {
					break
				}
				if e.Kind == Restored {
					t.Fatal("it is taken for the same")
				}
			}
			f.become(func() { f.id, f.ns = was, wasNS })
			mustRead(t, r)
		})
	}
}

// A device without rings goes by nothing that it was told but which namespace it is: it comes back for
// commands, such as those of reservations, but not for rings.
func TestChangedWithoutRings(t *testing.T) {
	f := newFake(t)
	events := make(chan Event, 100)
	d := openFake(t, f, func(c *Config) { c.Notify = func(e Event) { events <- e } })
	f.become(func() { f.id.MDTS = 3 })
	await(events, Restored)
	cmd := nvme.Command{Opcode: nvme.OpFlush, NSID: 1}
	if _, err := d.Command(testContext(t), &cmd, nil); err != nil {
		t.Error(err)
	}
	if _, err := d.NewRing(testContext(t), blockdev.RingConfig{}); err == nil {
		t.Error("a ring that takes more at a time than its device")
	}
	f.become(func() { f.id.MDTS = 8 })
	await(events, Restored)
	mustRead(t, newRing(t, d, blockdev.RingConfig{}))
}

// What is done piece by piece is done block by block if the controller takes less than a block: a
// command on no block is one on 65536.
func TestLimitBelowBlock(t *testing.T) {
	f := newFake(t)
	f.ns.Formats[0].Shift = 16
	f.ns.NSZE = uint64(len(f.disk)) >> 16
	f.nvm = &nvme.IdentifyNVMController{WZSL: 1, VSL: 1}
	f.shift = 16
	r := newRing(t, openFake(t, f, nil), blockdev.RingConfig{})
	data := random(3 << 16)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWrite(0, data) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepWriteZeroes(0, 2<<16) }), blockdev.OK)
	want(t, do(t, r, func(s *blockdev.SQE) { s.PrepVerify(0, 2<<16) }), blockdev.OK)
	clear(data[:2<<16])
	if !bytes.Equal(f.has(0, len(data)), data) {
		t.Fatal("other blocks than those named have become zeroes")
	}
}
