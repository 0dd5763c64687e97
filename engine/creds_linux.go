package engine

import (
	"net"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// credsOf asks the kernel who is at the other end; nil: it is no Unix socket.
func credsOf(nc net.Conn) (creds *Creds) {
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil
	}
	_ = raw.Control(func(fd uintptr) {
		u, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return
		}
		creds = &Creds{UID: u.Uid, PID: u.Pid, Groups: []uint32{u.Gid}}
		for _, g := range peerGroups(int(fd)) {
			if !slices.Contains(creds.Groups, g) {
				creds.Groups = append(creds.Groups, g)
			}
		}
	})
	return creds
}

// peerGroups gives the further groups of the other end; none where the kernel (before
// 4.13) does not know.
func peerGroups(fd int) []uint32 {
	groups := make([]uint32, 32)
	for {
		size := uint32(4 * len(groups))
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:size/4]
		case errno == unix.ERANGE && int(size) > 4*len(groups):
			groups = make([]uint32, size/4)
		default:
			return nil
		}
	}
}
