package main

import (
	"os"
	"testing"

	"github.com/lockify-dlm/lockify/internal/admin/daemontest"
)

func TestMain(m *testing.M) { os.Exit(daemontest.Main(m)) }
