package node

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/lockify-dlm/lockify/internal/access"
)

// TestKnows: whose end of a connection was the client's doing. A reset that comes over a network may
// be of who stands between, and the client believes in its locks still.
func TestKnows(t *testing.T) {
	for _, x := range []struct {
		err            error
		local, network bool
	}{
		{io.EOF, true, true},
		{fmt.Errorf("tls: %w", io.ErrUnexpectedEOF), true, true},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), true, false},
		{syscall.EPIPE, true, false},
		{syscall.ETIMEDOUT, false, false},
		{errSilent, false, false},
		{errors.Join(errSilent, syscall.EPIPE), true, false},
	} {
		for network, want := range map[bool]bool{false: x.local, true: x.network} {
			s := &session{client: access.Client{Network: network}}
			if got := s.knows(x.err); got != want {
				t.Errorf("%v, over a network %v: %v", x.err, network, got)
			}
		}
	}
}
