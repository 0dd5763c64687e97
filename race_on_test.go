//go:build race

package lockify

// raceEnabled: netpoll compiles other code under the race detector, so such
// runs use the plain transport only.
const raceEnabled = true
