package main

import (
	"os"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(clientEnv); addr != "" {
		os.Exit(clientProcess(addr))
	}
	if addr := os.Getenv(ringEnv); addr != "" {
		os.Exit(ringProcess(addr))
	}
	os.Exit(daemontest.Main(m))
}
