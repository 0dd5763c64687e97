package main

import (
	"fmt"
	"strconv"
	"strings"
)

// size is a flag: bytes, or with a unit K, M, G, T of 1024 each; KiB, MiB, ... are
// the same.
type size int64

const units = "KMGT"

func (s *size) String() string { return formatSize(int64(*s)) }

func (*size) Type() string { return "SIZE" }

// Set reads the flag.
func (s *size) Set(text string) error {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(text), "B"), "I")
	shift := 0
	if n := len(number) - 1; n > 0 {
		if i := strings.IndexByte(units, number[n]); i >= 0 {
			number, shift = number[:n], 10*(i+1)
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > (1<<63-1)>>shift {
		return fmt.Errorf("%q is no size: want bytes, or a number with K, M, G or T", text)
	}
	*s = size(v << shift)
	return nil
}

// formatSize gives the largest unit that loses nothing.
func formatSize(n int64) string {
	unit := ""
	for i := 0; i < len(units) && n != 0 && n%1024 == 0; i++ {
		n, unit = n/1024, units[i:i+1]
	}
	return strconv.FormatInt(n, 10) + unit
}

// roughSize is for reading: three digits or so.
func roughSize(n float64) string {
	const names = " KMGT"
	i := 0
	for n >= 1024 && i < len(names)-1 {
		n, i = n/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%.0f B", n)
	}
	return fmt.Sprintf("%.1f %ciB", n, names[i])
}
