package chaos

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// A cut drops what goes one way, and healing lets it through; two cuts need two.
func TestCut(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	w, err := newNetwork(3)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	heard := func(from, to int, patience string) bool {
		t.Helper()
		// TCP's handshake needs both ways: a refused connection is an answer, and
		// silence is none.
		cmd := exec.Command("timeout", patience, "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/1", w.ip(to)))
		var out bytes.Buffer
		cmd.Stderr = &out
		wait, err := w.start(from, cmd)
		if err != nil {
			t.Fatal(err)
		}
		_ = wait() // it fails either way
		return bytes.Contains(out.Bytes(), []byte("refused"))
	}
	check := func(what string, want bool, from, to int) {
		t.Helper()
		patience := "0.3" // for silence; an answer may need longer on a busy machine
		if want {
			patience = "30"
		}
		if got := heard(from, to, patience); got != want {
			t.Errorf("%s: node %d hears of %d: %v, want %v", what, from, to, got, want)
		}
	}
	do := func(f func(int, int) error, from, to int) {
		t.Helper()
		if err := f(from, to); err != nil {
			t.Fatal(err)
		}
	}
	check("at first", true, 1, 2)
	do(w.cut, 1, 2)
	do(w.cut, 1, 2)
	check("cut", false, 1, 2)
	check("cut, for its answers", false, 2, 1)
	check("cut elsewhere", true, 3, 2)
	do(w.heal, 1, 2)
	check("healed once", false, 1, 2)
	do(w.heal, 1, 2)
	check("healed", true, 1, 2)
}
