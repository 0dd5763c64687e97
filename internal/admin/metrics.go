package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/lockify-dlm/lockify/engine"
	"github.com/lockify-dlm/lockify/internal/node"
	"github.com/lockify-dlm/lockify/lockspace"
	"github.com/lockify-dlm/lockify/wire"
)

// This file answers /metrics for Prometheus: the counters of the node, read when they are
// asked for. Names and units are by Prometheus' conventions; docs/metrics.md lists them.

// metric is one of those: what it is called, and how it is read.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// gauge and counter make metrics, whose labels come last.
func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue}
}

// shardMetric is of a lockspace: read from each shard, and added up.
type shardMetric struct {
	metric
	read   func(s *lockspace.Stats) float64
	labels []string // values of the labels behind lockspace
}

var claims = counter("lockify_claims_total", "Claims (self-owner notification) by what became of them: confirmed; adopted (another was master, the locks moved to it); lost (a conflict); refused (done as a lookup: a limit, the lease, the directory node).", "lockspace", "outcome")

var rangeCount = gauge("lockify_ranges", "Name ranges: owned (this node is their directory by delegation), lent (delegated to others).", "lockspace", "role")

func seconds[N int64 | uint64](ns N) float64 { return float64(ns) / float64(time.Second) }

var shardMetrics = []shardMetric{
	{gauge("lockify_resources", "Names that the node has something of: as master, directory node or holder.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Resources) }, nil},
	{gauge("lockify_locks", "Locks, granted and waiting, own ones and copies of others'.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Locks) }, nil},
	{gauge("lockify_claims_open", "Claims that the directory node has not answered yet.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.ClaimsOpen) }, nil},
	{counter("lockify_claims_made_total", "Names of which this node has declared itself master.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.ClaimsMade) }, nil},
	{claims, func(s *lockspace.Stats) float64 { return float64(s.ClaimsConfirmed) }, []string{"confirmed"}},
	{claims, func(s *lockspace.Stats) float64 { return float64(s.ClaimsAdopted) }, []string{"adopted"}},
	{claims, func(s *lockspace.Stats) float64 { return float64(s.ClaimsLost) }, []string{"lost"}},
	{claims, func(s *lockspace.Stats) float64 { return float64(s.ClaimsRefused) }, []string{"refused"}},
	{counter("lockify_notify_resent_total", "NOTIFY messages sent again, for lack of an answer.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.NotifyResent) }, nil},
	{counter("lockify_locks_lost_total", "Granted locks taken back: after a wrong claim, or as the node has lost its place in the cluster.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.LocksLost) }, nil},
	{gauge("lockify_release_fence_messages", "Messages that wait until claims before them are confirmed.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.HeldNow) }, nil},
	{counter("lockify_release_fence_messages_total", "Messages that have waited so.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.HeldTotal) }, nil},
	{gauge("lockify_operations_pending", "Requests and conversions of this node's programs that are not answered: they wait for another node, or for other holders.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Pending) }, nil},
	{counter("lockify_messages_ignored_total", "Messages that matched nothing any more.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Ignored) }, nil},
	{counter("lockify_messages_overrun_total", "Messages over the limits of what is kept for later.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Overrun) }, nil},
	{counter("lockify_messages_relayed_total", "Messages passed on to the owner of a range, or back.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Relayed) }, nil},
	{rangeCount, func(s *lockspace.Stats) float64 { return float64(s.RangesOwned) }, []string{"owned"}},
	{rangeCount, func(s *lockspace.Stats) float64 { return float64(s.RangesLent) }, []string{"lent"}},
	{counter("lockify_names_retired_total", "Names whose end a program of this node has asked for, and got.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Retired) }, nil},
	{counter("lockify_two_masters_total", "Names for which two nodes were confirmed as master. Above 0 is a bug: report it.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.TwoMasters) }, nil},
	{counter("lockify_bad_clocks_total", "Messages whose token clock was too far ahead to be true.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.BadClocks) }, nil},
	{gauge("lockify_recovering_shards", "Shards that wait for other nodes after a change of the membership.", "lockspace"), func(s *lockspace.Stats) float64 {
		if s.Recovering {
			return 1
		}
		return 0
	}, nil},
	{counter("lockify_deadlocks_total", "Waiting operations that were ended because they were part of a cycle.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Deadlocks) }, nil},
	{counter("lockify_deadlock_phantoms_total", "Cycles of which an edge was gone at the second look.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.Phantoms) }, nil},
	{counter("lockify_deadlock_probes_total", "Looks for a deadlock.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.ProbesStarted) }, nil},
	{counter("lockify_deadlock_probes_dropped_total", "Steps of them that a limit has stopped.", "lockspace"), func(s *lockspace.Stats) float64 { return float64(s.ProbesDropped) }, nil},
}

var (
	nodeInfo      = gauge("lockify_node_info", "1; the labels say which node this is.", "node", "instance", "cluster")
	nodeSessions  = gauge("lockify_sessions", "Connected clients.")
	nodeMembers   = gauge("lockify_members", "Nodes in the agreed membership, as this node knows; absent if it is fixed.")
	nodeMember    = gauge("lockify_member", "1 if this node takes part, 0 if it is fenced, or has not joined yet.")
	nodeRestarts  = counter("lockify_fenced_total", "Times that this node has lost its place in the cluster, and all its locks, and begun anew; absent if the membership is fixed.")
	certificate   = gauge("lockify_certificate_end_timestamp_seconds", "When the certificate of this node ends, in seconds since 1970; absent without TLS.")
	epoch         = gauge("lockify_epoch", "Number of the view of a lockspace; it rises with each change of who has it open.", "lockspace")
	shardLocks    = gauge("lockify_shard_locks", "Locks of each shard, to see whether they are evenly spread.", "lockspace", "shard")
	shardDone     = counter("lockify_shard_operations_total", "Operations of programs and messages of other nodes that each shard has taken, to see whether the work is evenly spread.", "lockspace", "shard")
	conflicts     = counter("lockify_conflicts_total", "Wrong claims of this node: the name was in use. Programs that say New for names that are not new cause them.", "lockspace")
	longWaits     = gauge("lockify_long_waits", "Requests of this node's clients that have waited for long_wait or longer, at most 4096 of each client; whether that is bad, they know: who stands by for a leader waits for ever.", "lockspace")
	refused       = counter("lockify_operations_refused_total", "Requests and conversions of this node's programs that have begun, and ended without a grant.", "lockspace", "status")
	messages      = counter("lockify_messages_total", "Messages between nodes.", "lockspace", "direction", "type")
	spansSent     = counter("lockify_trace_spans_sent_total", "Spans that the collector of traces has taken; absent without tracing_endpoint.")
	spansDropped  = counter("lockify_trace_spans_dropped_total", "Spans that the collector of traces will never get: it did not answer, or not fast enough; absent without tracing_endpoint.")
	linkUp        = gauge("lockify_link_up", "1 if there is a connection to the other node.", "peer")
	linkRTT       = gauge("lockify_link_rtt_seconds", "Round trip to the other node, smoothed; absent until it is known.", "peer")
	linkQueued    = gauge("lockify_link_queued_bytes", "Bytes that the other node has not acknowledged.", "peer")
	linkFrames    = counter("lockify_link_frames_total", "Frames, headers and repeated ones included.", "peer", "direction")
	linkBytes     = counter("lockify_link_bytes_total", "Bytes as sent, maybe compressed.", "peer", "direction")
	linkWrites    = counter("lockify_link_writes_total", "System calls that wrote.", "peer")
	linkResent    = counter("lockify_link_frames_resent_total", "Frames written again on another connection.", "peer")
	linkDropped   = counter("lockify_link_frames_dropped_total", "Frames for a link that has failed or ends.", "peer")
	linkReconnect = counter("lockify_link_reconnects_total", "Connections after the first.", "peer")
)

var otherMetrics = []metric{
	nodeInfo, nodeSessions, nodeMembers, nodeMember, nodeRestarts, certificate, epoch, shardLocks, shardDone, conflicts, longWaits, refused, messages,
	lockTimes, claimTimes, fenceTimes, recoveryTimes, spansSent, spansDropped,
	linkUp, linkRTT, linkQueued, linkFrames, linkBytes, linkWrites, linkResent, linkDropped, linkReconnect,
}

// collector reads the metrics of the present node.
type collector struct{ s *Server }

// Describe gives each metric once.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	seen := map[*prometheus.Desc]bool{}
	for i := range shardMetrics {
		if d := shardMetrics[i].desc; !seen[d] {
			seen[d] = true
			out <- d
		}
	}
	for _, m := range otherMetrics {
		out <- m.desc
	}
}

// Collect enters each shard for a moment.
func (c collector) Collect(out chan<- prometheus.Metric) {
	n := c.s.node()
	st := n.Stats()
	give := func(m metric, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
	}
	give(nodeInfo, 1, strconv.Itoa(int(st.ID)), ID(st.Instance).String(), Name(c.s.cluster).String())
	give(nodeSessions, float64(st.Sessions))
	takesPart := 0.0
	if n.Why() == nil {
		takesPart = 1
	}
	if p := n.Membership(); p != nil {
		if s := p.State(); s != nil {
			give(nodeMembers, float64(len(s.Nodes)))
		} else {
			takesPart = 0
		}
	}
	give(nodeMember, takesPart)
	if c.s.restarts != nil {
		give(nodeRestarts, float64(c.s.restarts()))
	}
	if c.s.certEnds != nil {
		give(certificate, float64(c.s.certEnds().Unix()))
	}
	if c.s.spans != nil {
		sent, dropped := c.s.spans()
		give(spansSent, float64(sent))
		give(spansDropped, float64(dropped))
	}
	for i := range st.Spaces {
		collectSpace(give, &st.Spaces[i])
		collectTimes(out, &st.Spaces[i])
	}
	for id, p := range st.Links {
		collectLink(give, strconv.Itoa(int(id)), &p)
	}
}

func collectSpace(give func(metric, float64, ...string), sp *node.SpaceStats) {
	name := Name(sp.Name).String()
	for i := range shardMetrics {
		m, sum := &shardMetrics[i], 0.0
		for k := range sp.Shards {
			sum += m.read(&sp.Shards[k])
		}
		give(m.metric, sum, append([]string{name}, m.labels...)...)
	}
	give(epoch, float64(sp.Epoch), name)
	for k := range sp.Shards {
		give(shardLocks, float64(sp.Shards[k].Locks), name, strconv.Itoa(k))
		give(shardDone, float64(sp.Done[k]), name, strconv.Itoa(k))
	}
	give(conflicts, float64(sp.Conflicts), name)
	give(longWaits, float64(sp.LongWaits), name)
	collectRefused(give, sp, name)
	for t := range sp.Sent {
		if kind := wire.Type(t).String(); sp.Sent[t]+sp.Received[t] > 0 {
			give(messages, float64(sp.Sent[t]), name, "sent", kind)
			give(messages, float64(sp.Received[t]), name, "received", kind)
		}
	}
}

func collectRefused(give func(metric, float64, ...string), sp *node.SpaceStats, name string) {
	for st := range wire.Statuses {
		sum := uint64(0)
		for k := range sp.Shards {
			sum += sp.Shards[k].Refused[st]
		}
		if sum > 0 {
			give(refused, float64(sum), name, st.String())
		}
	}
}

func collectLink(give func(metric, float64, ...string), peer string, p *engine.PeerStats) {
	up := 0.0
	if p.Connected {
		up = 1
	}
	give(linkUp, up, peer)
	if p.RTT > 0 {
		give(linkRTT, p.RTT.Seconds(), peer)
	}
	give(linkQueued, float64(p.Queued), peer)
	give(linkFrames, float64(p.FramesIn), peer, "received")
	give(linkFrames, float64(p.FramesOut), peer, "sent")
	give(linkBytes, float64(p.BytesIn), peer, "received")
	give(linkBytes, float64(p.BytesOut), peer, "sent")
	give(linkWrites, float64(p.Writes), peer)
	give(linkResent, float64(p.Resent), peer)
	give(linkDropped, float64(p.Dropped), peer)
	give(linkReconnect, float64(p.Reconnects), peer)
}

// metrics answers /metrics: the node's, and those of the process.
func (s *Server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}
