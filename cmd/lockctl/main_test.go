package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

func TestMain(m *testing.M) { os.Exit(daemontest.Main(m)) }

// TestNoNumber: a flag with what is no number says what it wants.
func TestNoNumber(t *testing.T) {
	for want, args := range map[string][]string{
		`--recent "x": invalid syntax, want a number; see lockctl watch --help`:                                  {"watch", "--recent", "x"},
		`--recent "9999999999999999999": value out of range, want a number; see lockctl watch --help`:            {"watch", "--recent", "9999999999999999999"},
		`--once "perhaps": invalid syntax, want true or false; see lockctl watch --help`:                         {"watch", "--once=perhaps"},
		`invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"; see lockctl lock --help`: {"lock", "s", "n", "--timeout", "5"},
	} {
		var errs strings.Builder
		if status := run(args, io.Discard, &errs); status != exitUsage || errs.String() != "lockctl: "+want+"\n" {
			t.Errorf("%q: status %d, %s", args, status, errs.String())
		}
	}
}
