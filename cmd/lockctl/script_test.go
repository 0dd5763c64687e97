package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

// TestScripts runs testdata/script: lockctl against the target at $ADDR, whose only disk
// is $NQN. With -rewrite, what the commands say goes into the scripts.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"), UpdateScripts: *rewrite,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(daemontest.Bin("lockctl"))+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("ADDR", export(e.T().(testing.TB), e.WorkDir))
			e.Setenv("NQN", diskNQN)
			return nil
		},
	})
}
