// Package events keeps what has happened in a daemon, for those who watch it:
//
//	slog.Logger --- Handler --+--> ring of the last events --> watchers, each at its pace
//	                          |
//	                          +--> Writer --> the daemon's log, a flood of one message held back
//
// A record with an attribute "event" is an event of that kind, whatever its level; other
// records from level Info on are events of kind "log". So each thing is said once in the
// program, and reaches the log and the watchers alike.
//
// Contract: logging never waits for a watcher, nor for who reads the log. The ring is bounded; a
// watcher that is too slow is told how many events it has missed, and so is the log.
package events
