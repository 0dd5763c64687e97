//go:build !linux

package bare

import (
	"errors"
	"time"

	"github.com/lockify-dlm/lockify/perf"
)

var errSystem = errors.New("bare: the limits are measured with Linux's system calls")

// Solo does nothing here.
func Solo() {}

// Socket cannot be made here.
type Socket struct{ Err error }

// Listener cannot be made here.
type Listener struct{ Addr string }

// Listen fails.
func Listen(string, string) (*Listener, error) { return nil, errSystem }

// Accept fails.
func (l *Listener) Accept() (*Socket, error) { return nil, errSystem }

// Connect fails.
func Connect(string, string) (*Socket, error) { return nil, errSystem }

// Close does nothing.
func (s *Socket) Close() error { return nil }

// Read gives 0.
func (s *Socket) Read([]byte) int { return 0 }

// Write gives 0.
func (s *Socket) Write([]byte) int { return 0 }

// Echo does nothing.
func (s *Socket) Echo(int, int) {}

// Ping measures nothing.
func (s *Socket) Ping(time.Duration, int, int) (*perf.Histogram, time.Duration) {
	return perf.NewHistogram(), 0
}
