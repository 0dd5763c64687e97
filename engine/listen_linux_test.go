package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// moded is a handler of listeners that nobody comes to.
type moded struct {
	FrameHandler
	mode fs.FileMode
}

func (m moded) SocketMode() fs.FileMode { return m.mode }

// TestSocketMode: the file of a socket has its mode from the first moment on, whatever the umask is,
// but for what that takes away; and in the end all of it.
func TestSocketMode(t *testing.T) {
	mode := func(path string) fs.FileMode {
		fi, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return fi.Mode().Perm()
	}
	for _, c := range []struct {
		umask            int
		mode, first, end fs.FileMode
	}{{0, 0o600, 0o600, 0o600}, {0o077, 0o660, 0o600, 0o660}, {0o027, 0, 0o750, 0o750}} {
		path := filepath.Join(t.TempDir(), "s")
		old := syscall.Umask(c.umask)
		ln, err := bind("unix", path, c.mode)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		if got := mode(path); got != c.first {
			t.Errorf("mode %o under umask %o: %o at first, want %o", c.mode, c.umask, got, c.first)
		}
		ln.Close()
		for _, tr := range []Transport{NewPlain(), NewNetpoll()} {
			syscall.Umask(c.umask)
			l, err := ListenFrames(tr, "unix", path, moded{mode: c.mode})
			syscall.Umask(old)
			if err != nil {
				t.Fatal(err)
			}
			if got := mode(path); got != c.end {
				t.Errorf("%s: mode %o under umask %o: %o, want %o", tr.Name(), c.mode, c.umask, got, c.end)
			}
			l.Close()
		}
	}
}
