//go:build !race

package lockify

const raceEnabled = false
