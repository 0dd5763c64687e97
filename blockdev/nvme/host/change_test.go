package host

import (
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
