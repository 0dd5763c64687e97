package peers

import "strconv"

// ratios gives all figures of which something is wanted, as far as they were measured.
func ratios(r *Report) []Ratio {
	t := &targets{r: r}
	t.embedded()
	for _, mode := range modes {
		t.client(mode)
	}
	t.most("shared memory, both ends awake: acquire p50", Free, t.p50(Ring, Free), 1.5, "us")
	t.figures()
	return t.out
}

type targets struct {
	r   *Report
	out []Ratio
}

// most adds a figure that is to be want at most; 0 means that it was not measured.
func (t *targets) most(name string, mode Mode, value, want float64, unit string) {
	if value > 0 {
		t.out = append(t.out, Ratio{Name: name, Mode: mode, Value: value, Want: want, Unit: unit, OK: value <= want})
	}
}

func (t *targets) least(name string, mode Mode, value, want float64, unit string) {
	if value > 0 {
		t.out = append(t.out, Ratio{Name: name, Mode: mode, Value: value, Want: want, Least: true, Unit: unit, OK: value >= want})
	}
}

// p50 gives the time of an Acquire of a system; 0: not measured.
func (t *targets) p50(name string, mode Mode) float64 {
	if s := t.r.system(name, mode); s != nil {
		return s.Acquire.P50
	}
	return 0
}

// pairs gives the pairs a second of a system; 0: not measured.
func (t *targets) pairs(name string, mode Mode, depth int) float64 {
	if s := t.r.system(name, mode); s != nil {
		return s.PairsPerS[strconv.Itoa(depth)]
	}
	return 0
}

func over(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// embedded is what is wanted of a node in the program's process.
func (t *targets) embedded() {
	t.most("embedded, new name: acquire p50", Pinned, t.p50(EmbeddedNew, Pinned), 0.3, "us")
	t.least("embedded, new name: pairs a second on one core", Pinned, t.pairs(EmbeddedNew, Pinned, 1), 3e6, "/s")
	if s := t.r.system(ShardNew, Pinned); s != nil {
		// What grows now and then, for many pairs, is a thousandth of an allocation.
		t.out = append(t.out, Ratio{Name: "lockspace, new name: allocations a pair", Mode: Pinned, Value: s.Allocs, Want: 0.001, OK: s.Allocs <= 0.001})
	}
	t.most("embedded, lock kept by a cache: time of a pair / sharded map", Pinned,
		over(t.pairs(MapCached, Pinned, 1), t.pairs(EmbeddedKept, Pinned, 1)), 2, "x")
	t.most("embedded, cached name: time of a pair / sharded map", Pinned,
		over(t.pairs(MapCached, Pinned, 1), t.pairs(EmbeddedCached, Pinned, 1)), 2, "x")
	t.least("embedded, 2 cores / 1 core, new names: pairs a second", Free,
		over(t.pairs(EmbeddedNew, Free, 2), t.pairs(EmbeddedNew, Pinned, 1)), 1.8, "x")
	t.least("embedded, 2 cores / 1 core, a name each: pairs a second", Free,
		over(t.pairs(EmbeddedCached, Free, 2), t.pairs(EmbeddedCached, Pinned, 1)), 1.8, "x")
}

// client is what is wanted where there are sockets.
func (t *targets) client(mode Mode) {
	t.most("Unix socket: acquire p50 / ping-pong", mode, over(t.p50(Unix, mode), t.p50(PingUnix, mode)), 1.4, "x")
	t.most("Unix socket: acquire p50 / Redis", mode, over(t.p50(Unix, mode), t.p50(Redis, mode)), 1, "x")
	for _, name := range []string{Unix, Ring} {
		t.least(name+", 128 under way: pairs a second / Redis", mode, over(t.pairs(name, mode, 128), t.pairs(Redis, mode, 128)), 8, "x")
		t.least(name+", 128 under way: pairs a second / Redis, batches of 64", mode, over(t.pairs(name, mode, 128), t.pairs(Redis64, mode, 128)), 2, "x")
	}
	t.most("3 nodes, remote master: acquire p50 / ping-pong", mode, over(t.p50(Remote, mode), t.p50(PingTCP, mode)), 1.5, "x")
	t.least("3 nodes: acquire p50 of etcd / lockify", mode, over(t.p50(Etcd3, mode), t.p50(Remote, mode)), 50, "x")
}

// figures is what is wanted of all else.
func (t *targets) figures() {
	f := t.r.Figures
	t.most("creations, 5 nodes, half load: acquire p50 / single node", Free, over(f[FigureClusterP50], f[FigureSingleP50]), 1.5, "x")
	t.least("creations, 5 nodes, full load: claims a frame", Free, f[FigureClaimsPerFrame], 32, "")
	t.most("creations, 5 nodes, full load: CPU of all / single node", Free, over(f[FigureClusterCPU], f[FigureSingleCPU]), 3, "x")
	t.most("held locks: bytes each of the node", Free, f[FigureHeldNode], 300, "B")
	t.most("held locks: bytes each, the program's part included", Free, f[FigureHeldBytes], 300, "B")
	t.most("held locks: p99 of a further one", Free, f[FigureHeldP99], 20, "us")
	t.most("held locks: longest pause of the collector", Free, f[FigureHeldPause], 1000, "us")
	t.most("Unix socket, 64 under way: system calls of the server a pair", Free, f[FigureSyscalls], 0.1, "")
	t.most("shared memory, 64 under way: system calls of the server a pair", Free, f[FigureRingSyscalls], 0.1, "")
}
