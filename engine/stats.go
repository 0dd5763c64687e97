package engine

import "time"

// linkCounters are counted over all connections of a link. What is not atomic
// is under link.mu.
type linkCounters struct {
	counters
	rtt      int64 // ns, smoothed
	resent   uint64
	repeated uint64
	dropped  uint64
	connects uint64
}

// PeerStats says how a link is doing. Counts are from the start of Links.
type PeerStats struct {
	Connected bool
	Instance  uint64        // of the peer; 0: never met
	Features  uint64        // that both ends have
	RTT       time.Duration // round trip of pings, smoothed over 8, with artificial delays; 0: not yet known
	Queued    int           // bytes not acknowledged
	Failed    bool          // ErrOverrun

	FramesIn, BytesIn   uint64 // received, all kinds, headers included, as sent (maybe compressed)
	FramesOut, BytesOut uint64 // written, with those written again
	Writes              uint64 // system calls that wrote
	Resent              uint64 // frames written again on another connection
	Repeated            uint64 // frames received again and ignored
	Dropped             uint64 // frames not taken by Send because the link has failed or is closing
	Reconnects          uint64 // connections after the first
}

// Stats gives the state of each peer.
func (ls *Links) Stats() map[uint16]PeerStats {
	all := make(map[uint16]PeerStats, len(ls.all()))
	for id, l := range ls.all() {
		all[id] = l.stats()
	}
	return all
}

func (l *link) stats() PeerStats {
	f := l.count.stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	return PeerStats{
		Connected: l.sess != nil, Instance: l.instance, Features: l.features,
		RTT: time.Duration(l.count.rtt), Queued: l.q.bytes, Failed: l.failed != nil,
		FramesIn: f.FramesIn, BytesIn: f.BytesIn, FramesOut: f.FramesOut, BytesOut: f.BytesOut,
		Writes: f.Writes, Resent: l.count.resent, Repeated: l.count.repeated, Dropped: l.count.dropped,
		Reconnects: max(l.count.connects, 1) - 1,
	}
}
