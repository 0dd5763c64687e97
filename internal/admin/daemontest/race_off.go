//go:build !race

package daemontest

const race = false
