//go:build race

package daemontest

const race = true
