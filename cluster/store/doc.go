// Package store keeps what a voter must not forget in one file.
//
//	cluster.Server --- Save, Compact ---> Store ---> bbolt: one transaction each
//	               <-- log, snapshot ---         (copy in memory)
//
// The file has four buckets: meta (format, numbers of the store, the node and
// the cluster), state (Raft's hard state), snapshot, log (an entry for each
// index, big-endian). Each value ends with its CRC32C. A Save is one
// transaction, durable when it returns; after a crash the file is as it was
// behind the last Save that has returned, or behind the one that was under way.
//
// What is read comes from the copy in memory: the log is short, since a snapshot
// replaces it now and then (cluster.Storage).
//
// # What can go wrong
//
// Errors of Open say what to do: ErrLocked (another process has the file),
// ErrDamaged (its bytes are not what was written), ErrForeign (it belongs to
// another node or cluster). A store must never be copied and used twice, nor put
// back from a backup while its cluster lives: a voter would vote twice. A voter
// whose store is lost starts with an empty one, joins, and gets its vote anew.
//
// A Store is used by one goroutine at a time. Package store must not import
// anything of this module but cluster.
package store
