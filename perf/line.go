package perf

// CacheLine keeps what is in front of it from what is behind it: two processors that write to one
// line wait for each other. Processors fetch lines of 64 bytes in pairs.
type CacheLine [128]byte

// LineWords is how many pointers fill a CacheLine.
const LineWords = 16
