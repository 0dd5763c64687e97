package engine

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/wire"
)

// benchHandler counts frames and answers them if it is told to.
type benchHandler struct {
	node
	echo  bool
	count atomic.Uint64
	until atomic.Uint64
	done  chan struct{}
	delay atomic.Int64 // sum of one-way times, ns
	ls    atomic.Pointer[Links]
}

func (h *benchHandler) OnFrame(peer uint16, _ *wire.Header, payload []byte) {
	h.delay.Add(nanos() - int64(binary.LittleEndian.Uint64(payload)))
	if h.echo {
		h.ls.Load().Send(peer, append(GetBuf(), payload...), wire.Header{Kind: wire.KindNode, Count: 1})
	}
	if h.count.Add(1) == h.until.Load() {
		h.done <- struct{}{}
	}
}

func (h *benchHandler) OnIdle(uint16) {}

func stamped(size int) []byte {
	f := binary.LittleEndian.AppendUint64(GetBufSize(size), uint64(nanos()))
	return f[:wire.HeaderSize+size]
}

func benchPair(b *testing.B, on bench, echo bool, change func(c *LinksConfig)) (*Links, *benchHandler, *benchHandler) {
	var ls [2]*Links
	var hs [2]*benchHandler
	addr := ""
	for i := range ls {
		hs[i] = &benchHandler{node: *newNode(b, uint16(2-i)), done: make(chan struct{}, 1)}
		hs[i].cond.L = &hs[i].mu
		hs[i].echo = echo && i == 0
		cfg := LinksConfig{
			Transport: on.t, Network: on.network, Self: hs[i].id, Instance: 0x10000 + uint64(hs[i].id),
			Cluster: "bench", Listen: []string{on.addr(b)}, Peers: []Peer{{ID: 3 - hs[i].id, Addr: addr}},
		}
		if change != nil {
			change(&cfg)
		}
		l, err := NewLinks(cfg, hs[i])
		if err != nil {
			b.Fatal(err)
		}
		hs[i].ls.Store(l)
		ls[i], addr = l, l.Addrs()[0]
		b.Cleanup(func() { l.stop() })
	}
	if err := ls[1].Ready(testContext(b)); err != nil {
		b.Fatal(err)
	}
	return ls[1], hs[1], hs[0]
}

// BenchmarkPingPong measures round trips of one frame of 128 bytes.
func BenchmarkPingPong(b *testing.B) {
	for _, on := range benches() {
		b.Run(on.name, func(b *testing.B) { pingPong(b, on, nil) })
	}
}

func pingPong(b *testing.B, on bench, change func(c *LinksConfig)) *benchHandler {
	ls, near, far := benchPair(b, on, true, change)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		near.until.Store(near.count.Load() + 1)
		ls.Send(2, stamped(64), wire.Header{Kind: wire.KindNode, Count: 1})
		<-near.done
	}
	return far
}

// BenchmarkStream measures frames of 256 and 4096 bytes one way.
func BenchmarkStream(b *testing.B) {
	for _, on := range benches() {
		for name, size := range map[string]int{"192B": 192, "4000B": 4000} {
			b.Run(on.name+"/"+name, func(b *testing.B) {
				ls, _, far := benchPair(b, on, false, nil)
				b.SetBytes(int64(size + wire.HeaderSize))
				b.ReportAllocs()
				far.until.Store(uint64(b.N))
				ctx := testContext(b)
				b.ResetTimer()
				for range b.N {
					if ls.Congested() {
						if err := ls.WaitUncongested(ctx); err != nil {
							b.Fatal(err)
						}
					}
					ls.Send(2, stamped(size), wire.Header{Kind: wire.KindNode, Count: 1})
				}
				<-far.done
				s := ls.Stats()[2]
				b.ReportMetric(float64(s.FramesOut)/float64(max(1, s.Writes)), "frames/write")
			})
		}
	}
}

// BenchmarkDelay measures how exact an artificial delay is: the mean one-way
// time of a frame, of which the transport itself takes some.
func BenchmarkDelay(b *testing.B) {
	for _, delay := range []time.Duration{0, 50 * time.Microsecond, 200 * time.Microsecond, time.Millisecond} {
		for _, on := range benches()[:1] {
			b.Run(on.name+"/"+delay.String(), func(b *testing.B) {
				far := pingPong(b, on, func(c *LinksConfig) {
					c.Delay = func(uint16) time.Duration { return delay }
				})
				b.ReportMetric(float64(far.delay.Load())/float64(far.count.Load())/1e3, "us-one-way")
			})
		}
	}
}
