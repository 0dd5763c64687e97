// Package tcp sets up the TCP connections of NVMe/TCP, in both roles.
//
//	host: dial ---+
//	              +--> Prepare(connection) --> link, conn
//	target: accept-+
package tcp
