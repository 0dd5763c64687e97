// Package disk measures NVMe/TCP of this repository against what the machine can do.
//
//	this program
//	   | starts, one measurement at a time     JSON, a line each
//	   v
//	target process <--- loopback TCP ---> load process     rings, NVMe/TCP, memory
//	                                      load process     rings, io_uring, a file
//	receiver       <--- loopback TCP ---  sender           limit: a stream of 128 KiB writes
//	echo           <--- loopback TCP ---> pinger           limit: one message at a time, epoll
//
// The limits are the least that such a transfer can cost: raw system calls on one
// buffer, no protocol. They are measured in the same rounds as the rest, so that a ratio
// compares neighbours in time; the figures are medians over the rounds.
//
// A load keeps a ring as full as its depth says, and takes the time of each request from
// Submit to Peek. Both ends count their processor time and what they have allocated.
package disk
