package daemontest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binDir is where Main has built the programs.
var binDir string

// Main builds lockifyd and lockctl, runs the tests and gives the exit status
// for os.Exit. It is called by TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "lockify-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	args := []string{"build", "-o", dir}
	if race {
		args = append(args, "-race")
	}
	const module = "github.com/lockify-dlm/lockify/cmd/"
	build := exec.Command("go", append(args, module+"lockifyd", module+"lockctl")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	binDir = dir
	// A process with the race detector would wait a second at its end.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Bin gives the path of a program that Main has built.
func Bin(name string) string { return filepath.Join(binDir, name) }
