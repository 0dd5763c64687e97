// Package rig has the servers and the clients of a measurement: lockify, the services
// that one would use instead, and the limits.
//
//	coordinator -- Start ----> Server: lockifyd, redis-server, etcd, nats-server, ZooKeeper
//	     |                        ^
//	     | Launch, Order          | sockets of this machine
//	     v                        |
//	   Client: this program again, which opens a System and works on it (package load)
//
// Servers and clients are processes of their own, so that each can be kept on one
// processor (Pin): a machine whose idle processors sleep has two speeds, and a comparison
// that mixes them ranks nothing. A process that is pinned has been so from its start, and
// has threads for one processor.
//
// Servers listen on Unix sockets and loopback only, keep their data in a directory of
// their own, and end with the coordinator. What is not installed gives ErrMissing.
package rig
