// Package kerneltest has the Linux kernel for a peer of host and target, in a virtual
// machine. Its tests run by make test-kernel; without LOCKIFY_KERNEL, the directory that
// tools/kernel.sh prints, they are skipped.
//
//	 go test                                     qemu
//	+---------------------------------+         +-------------------------------+
//	|  lockifyd with [[export]]       |  Wire   |  nvme-tcp, nvme-cli, ext4     |
//	|  or target.Server             <-+---<-----+- 10.0.2.2                     |
//	|                                 |         |                               |
//	|  lockctl disk, host.Controller -+---->----+-> nvmet-tcp, port 4420        |
//	|                                 | forward |                               |
//	|  Guest.Run                     -+---->----+-> sh, a command a line        |
//	+---------------------------------+ virtio  +-------------------------------+
//
// One machine serves all tests, one after the other: it takes seconds to start. The
// processor is emulated, so what the kernel does here says nothing of how fast it is.
//
// When a test fails, what the kernel has said to its console is shown, and what the daemon
// has said.
package kerneltest
