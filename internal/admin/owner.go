package admin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
)

// HTTP on the loopback interface has no passwords, but the kernel knows whose process has
// the other end of a connection: that stands in /proc/net/tcp, as long as it is open.

// errNotHere: the other end is not a connection of this machine.
var errNotHere = errors.New("which is not a process of this machine")

// administrator is for what only administrators may do: root, and the user as which this
// process runs. what says what that is.
func (s *Server) administrator(what string, h http.HandlerFunc) http.HandlerFunc {
	return s.limit(func(w http.ResponseWriter, r *http.Request) {
		if err := s.mayAdminister(r); err != nil {
			s.log.Warn("admin request denied", "remote", r.RemoteAddr, "path", r.URL.Path, "reason", err)
			fail(w, http.StatusForbidden, fmt.Sprintf("permission denied: %s is for root and uid %d on this machine, not for %s, %v", what, os.Geteuid(), r.RemoteAddr, err))
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // a profile takes as long as it was asked to
		h(w, r)
	})
}

func (s *Server) mayAdminister(r *http.Request) error {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	here, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if err != nil || !ok || !remote.Addr().Unmap().IsLoopback() {
		return errNotHere
	}
	uid, err := ownerOf(remote, here.AddrPort())
	if err == nil && uid != 0 && uid != uint64(os.Geteuid()) {
		err = fmt.Errorf("a process of uid %d", uid)
	}
	return err
}

// A line of the table: number, local and remote address, state, queues, timer, retransmits,
// uid, timeout, inode, and more.
const (
	tableLocal, tableRemote, tableState, tableUID, tableInode = 1, 2, 3, 7, 9

	// established is TCP_ESTABLISHED. A socket that its process has closed has another
	// state, and seems to be root's.
	established = "01"
)

// ownerOf gives the uid of the process with the end of a connection that is at, to the
// other end.
func ownerOf(at, to netip.AddrPort) (uint64, error) {
	for _, t := range []struct {
		file string
		show func(netip.Addr) []byte
	}{
		{"/proc/net/tcp", func(a netip.Addr) []byte { return a.Unmap().AsSlice() }},
		{"/proc/net/tcp6", func(a netip.Addr) []byte { b := a.As16(); return b[:] }},
	} {
		text, err := os.ReadFile(t.file)
		if errors.Is(err, os.ErrNotExist) { // no IPv6
			continue
		}
		if err != nil {
			return 0, err
		}
		local, remote := tableAddr(t.show(at.Addr()), at.Port()), tableAddr(t.show(to.Addr()), to.Port())
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > tableInode && f[tableLocal] == local && f[tableRemote] == remote && f[tableState] == established && f[tableInode] != "0" {
				return strconv.ParseUint(f[tableUID], 10, 32)
			}
		}
	}
	return 0, errNotHere
}

// tableAddr shows an address as the table does: words of four bytes in the order of this
// machine.
func tableAddr(ip []byte, port uint16) string {
	var b strings.Builder
	for ; len(ip) >= 4; ip = ip[4:] {
		fmt.Fprintf(&b, "%08X", binary.NativeEndian.Uint32(ip))
	}
	return fmt.Sprintf("%s:%04X", b.String(), port)
}
