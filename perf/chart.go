package perf

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Bar is one line of a bar chart.
type Bar struct {
	Label string
	Value float64 // not negative; drawn as 0 if it is, or is no number
}

// BarOptions shape a bar chart.
type BarOptions struct {
	Width int    // cells of the longest bar, 1 to 200; 0: 40
	Log   bool   // bars grow with the logarithm: each decade is as long as the others
	Unit  string // printed behind each value
}

const (
	defaultBarWidth = 40
	maxBarWidth     = 200
)

// eighths are the blocks that fill one to eight eighths of a cell from the left.
var eighths = []rune("▏▎▍▌▋▊▉█")

// Bars draws a chart of horizontal bars: label, bar, value. With Log the
// shortest bar stands for the largest power of ten below the smallest
// positive value, so that none of them disappears; zero has no bar.
func Bars(w io.Writer, title string, bars []Bar, o BarOptions) error {
	if o.Width <= 0 {
		o.Width = defaultBarWidth
	}
	o.Width = min(o.Width, maxBarWidth)
	labels := 0
	for _, b := range bars {
		labels = max(labels, utf8.RuneCountInString(b.Label))
	}
	scale := newBarScale(bars, o)
	var out strings.Builder
	if title != "" {
		fmt.Fprintln(&out, title)
	}
	for _, b := range bars {
		pad := strings.Repeat(" ", labels-utf8.RuneCountInString(b.Label))
		fmt.Fprintf(&out, "  %s%s │%s %s\n", b.Label, pad, scale.bar(b.Value), FormatValue(b.Value, o.Unit))
	}
	if o.Log {
		fmt.Fprintln(&out, "  (logarithmic)")
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// barScale turns values into bars.
type barScale struct {
	o         BarOptions
	low, high float64 // values of no bar and of the longest; with Log their logarithms
}

func newBarScale(bars []Bar, o BarOptions) barScale {
	s := barScale{o: o}
	least := math.Inf(1)
	for _, b := range bars {
		if v := b.Value; v > 0 && !math.IsInf(v, 0) {
			s.high = max(s.high, v)
			least = min(least, v)
		}
	}
	if o.Log && s.high > 0 {
		s.low = math.Floor(math.Log10(least))
		if math.Pow(10, s.low) == least {
			s.low-- // a bar of no length says zero
		}
		s.high = math.Log10(s.high)
	}
	return s
}

// bar gives a value's bar. A positive value has one eighth of a cell at least.
func (s barScale) bar(v float64) string {
	if !(v > 0) || s.high == s.low {
		return ""
	}
	if s.o.Log {
		v = math.Log10(v)
	}
	part := min((v-s.low)/(s.high-s.low), 1)
	n := max(int(math.Round(part*float64(s.o.Width)*8)), 1)
	bar := strings.Repeat("█", n/8)
	if n%8 > 0 {
		bar += string(eighths[n%8-1])
	}
	return bar
}

// FormatValue prints a value without an exponent, and its unit: to three
// significant digits below 100, to the nearest whole number from there on.
func FormatValue(v float64, unit string) string {
	digits := 0
	if a := math.Abs(v); a > 0 && a < 100 {
		digits = min(2-int(math.Floor(math.Log10(a))), 6)
	}
	s := fmt.Sprintf("%.*f", digits, v)
	if unit != "" {
		s += " " + unit
	}
	return s
}

// Table prints rows under a header, columns aligned: the first to the left,
// the others to the right. Cells may not contain newlines. A row shorter than
// the header ends with empty cells; what goes beyond it is left out.
func Table(w io.Writer, header []string, rows [][]string) error {
	rows = append([][]string{header}, rows...)
	widths := make([]int, len(header))
	for _, row := range rows {
		for i, cell := range row[:min(len(row), len(header))] {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row[:min(len(row), len(header))] {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString(cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		out.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	_, err := io.WriteString(w, out.String())
	return err
}
