// Package tracing hands the spans of a node to a collector of OpenTelemetry, by OTLP over
// HTTP.
//
//	shards, sessions -> queue, bounded -> batches -> POST /v1/traces
//	                      |                 |
//	                      +---- dropped ----+   counted, and said in the log once a minute
//
// Whoever ends a span never waits: where the collector does not keep up or does not answer,
// spans are dropped.
package tracing
