//go:build !linux

package chaos

import (
	"errors"
	"net"
	"os/exec"
)

type network struct{}

var errLinux = errors.New("chaos needs the network namespaces of Linux")

func newNetwork(int) (*network, error)                               { return nil, errLinux }
func (*network) ip(int) net.IP                                       { return nil }
func (*network) start(int, *exec.Cmd) (wait func() error, err error) { return nil, errLinux }
func (*network) cut(int, int) error                                  { return errLinux }
func (*network) heal(int, int) error                                 { return errLinux }
func (*network) close()                                              {}
