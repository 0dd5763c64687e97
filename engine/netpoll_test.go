package engine

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestCloseInFlood ends connections whose other end goes on sending: in the
// middle of a handler, from inside it and from outside. Both ends must hear of
// it, though input is left. (A handler runs on netpoll's event loop, which
// could wait for itself there.)
func TestCloseInFlood(t *testing.T) {
	each(t, func(t *testing.T, b bench) {
		for name, inside := range map[string]bool{"inside": true, "outside": false} {
			t.Run(name, func(t *testing.T) {
				server, client := newRecorder(t), newRecorder(t)
				conns := make(chan Conn, 1)
				handled := make(chan struct{})
				calls, closed := 0, false
				server.raw = func(c Conn, r Reader) error {
					if _, err := r.Next(r.Len()); err != nil {
						return err
					}
					if calls++; calls == 3 {
						if inside {
							c.Close()
							closed = true
						} else {
							conns <- c
							receive(t, handled)
						}
					} else if closed {
						t.Error("input after Close")
					}
					return nil
				}
				_, c := link2(t, b, server, client)
				go func() {
					if !inside {
						s := <-conns
						s.Close()
						close(handled)
					}
				}()
				buf := make([]byte, 1000)
				for end := time.Now().Add(20 * time.Second); ; {
					if err := c.Writev([][]byte{buf}); err != nil {
						break
					}
					if time.Now().After(end) {
						t.Fatal("the connection is still open")
					}
				}
				server.awaitClosed()
				client.awaitClosed()
			})
		}
	})
}

// TestHandlerPanics: a panic in a handler ends the program and says where.
func TestHandlerPanics(t *testing.T) {
	if raceEnabled {
		t.Skip("netpoll runs other code under the race detector")
	}
	const on = "LOCKIFY_PANIC_TEST"
	if os.Getenv(on) == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestHandlerPanics$", "-test.timeout", "20s")
		cmd.Env = append(os.Environ(), on+"=1", "TMPDIR="+t.TempDir()) // what the child leaves goes with its parent's
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.Contains(string(out), "wrong turn [in a handler]") {
			t.Fatalf("%v: %.600s", err, out)
		}
		return
	}
	server := newRecorder(t)
	server.raw = func(Conn, Reader) error { panic("wrong turn") }
	b := benches()[len(benches())-1]
	if b.t.Name() != "netpoll" {
		t.Fatal(b.name)
	}
	_, c := link2(t, b, server, newRecorder(t))
	if err := c.Writev([][]byte{[]byte("x")}); err != nil {
		t.Fatal(err)
	}
	select {}
}
