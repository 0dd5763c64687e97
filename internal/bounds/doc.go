// Package bounds says what the numbers and times among the settings of a node may be, and what they
// are if nobody says anything. The settings of lockifyd, their page in docs/reference, lockify.Config,
// and the defaults of internal/node are all made of it.
package bounds
