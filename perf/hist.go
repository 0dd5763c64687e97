package perf

import (
	"errors"
	"fmt"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Range and precision of a Histogram.
const (
	MinLatency  = time.Nanosecond
	MaxLatency  = 60 * time.Second
	histDigits  = 3
	maxHistText = 1 << 20 // bytes of an encoded histogram
)

// ErrHistogram is wrapped by errors about an encoded histogram.
var ErrHistogram = errors.New("perf: bad histogram")

// Histogram counts durations from 1 ns to 60 s to three significant digits.
// It takes about 220 KB whatever it holds. It is not safe for concurrent use.
// The zero value is not usable, but as the target of UnmarshalText.
type Histogram struct {
	h *hdr.Histogram
}

// NewHistogram makes an empty histogram.
func NewHistogram() *Histogram {
	return &Histogram{hdr.New(int64(MinLatency), int64(MaxLatency), histDigits)}
}

// Record counts one duration; one outside the range counts as the range's end.
func (h *Histogram) Record(d time.Duration) {
	if err := h.h.RecordValue(int64(min(max(d, MinLatency), MaxLatency))); err != nil {
		panic("perf: histogram: " + err.Error()) // the value is in range
	}
}

// Merge adds what other has counted. other stays as it is.
func (h *Histogram) Merge(other *Histogram) {
	if dropped := h.h.Merge(other.h); dropped != 0 {
		panic(fmt.Sprintf("perf: histogram: %d values lost in a merge", dropped)) // same range
	}
}

// Count gives the number of durations.
func (h *Histogram) Count() int64 { return h.h.TotalCount() }

// QuantileUS gives the duration, in microseconds, that a part q of the
// recorded ones do not exceed; 0 <= q <= 1. An empty histogram gives 0.
func (h *Histogram) QuantileUS(q float64) float64 {
	return float64(h.h.ValueAtQuantile(q*100)) / 1e3
}

// MeanUS gives the mean in microseconds; 0 of an empty histogram.
func (h *Histogram) MeanUS() float64 { return h.h.Mean() / 1e3 }

// MaxUS gives the longest duration in microseconds; 0 of an empty histogram.
func (h *Histogram) MaxUS() float64 { return float64(h.h.Max()) / 1e3 }

// MarshalText encodes the histogram as base64 of HdrHistogram's compressed V2
// form, some hundred bytes: it travels as a JSON string.
func (h *Histogram) MarshalText() ([]byte, error) {
	return h.h.Encode(hdr.V2CompressedEncodingCookieBase)
}

// UnmarshalText replaces h by a decoded histogram. Errors wrap ErrHistogram;
// h is then as before.
func (h *Histogram) UnmarshalText(text []byte) error {
	if len(text) > maxHistText {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrHistogram, len(text), maxHistText)
	}
	d, err := hdr.Decode(text)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHistogram, err)
	}
	if d.LowestTrackableValue() != int64(MinLatency) || d.HighestTrackableValue() != int64(MaxLatency) ||
		d.SignificantFigures() != histDigits {
		return fmt.Errorf("%w: range %d to %d ns with %d digits, want %d to %d with %d", ErrHistogram,
			d.LowestTrackableValue(), d.HighestTrackableValue(), d.SignificantFigures(),
			MinLatency, MaxLatency, histDigits)
	}
	h.h = d
	return nil
}
