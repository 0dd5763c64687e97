package perf

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// near says that two values agree to three digits.
func near(a, b float64) bool { return math.Abs(a-b) <= b/1000 }

func TestHistogramQuantiles(t *testing.T) {
	h := NewHistogram()
	if h.Count() != 0 || h.QuantileUS(0.5) != 0 || h.MeanUS() != 0 || h.MaxUS() != 0 {
		t.Error("an empty histogram is not 0")
	}
	for i := 1; i <= 10_000; i++ {
		h.Record(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]float64{0.5: 5000, 0.99: 9900, 0.001: 10, 1: 10_000} {
		if got := h.QuantileUS(q); !near(got, want) {
			t.Errorf("quantile %v: %v us, want %v", q, got, want)
		}
	}
	if h.Count() != 10_000 || !near(h.MeanUS(), 5000.5) || !near(h.MaxUS(), 10_000) {
		t.Errorf("count %d, mean %v, max %v", h.Count(), h.MeanUS(), h.MaxUS())
	}
}

func TestHistogramRange(t *testing.T) {
	h := NewHistogram()
	for _, d := range []time.Duration{-5, 0, 1, 3, MaxLatency, MaxLatency + 1, math.MaxInt64} {
		h.Record(d)
	}
	if got := h.QuantileUS(0); got != 0.001 {
		t.Errorf("least %v us, want 0.001", got)
	}
	if got := h.QuantileUS(0.5); got != 0.003 {
		t.Errorf("median %v us, want 0.003", got)
	}
	if got := h.MaxUS(); !near(got, 60e6) {
		t.Errorf("most %v us, want 60 s", got)
	}
}

func TestHistogramTravels(t *testing.T) {
	a, b := NewHistogram(), NewHistogram()
	for i := range 1000 {
		a.Record(time.Duration(i * 7))
		b.Record(time.Duration(i+1) * time.Millisecond)
	}
	data, err := json.Marshal(map[string]*Histogram{"a": a})
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 4096 {
		t.Errorf("%d bytes for 1000 values", len(data))
	}
	var got map[string]*Histogram
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	got["a"].Merge(b)
	if got["a"].Count() != 2000 || !near(got["a"].MaxUS(), 1_000_000) || got["a"].QuantileUS(0.25) != a.QuantileUS(0.5) {
		t.Errorf("count %d, max %v us, quartile %v us", got["a"].Count(), got["a"].MaxUS(), got["a"].QuantileUS(0.25))
	}
	if b.Count() != 1000 {
		t.Errorf("merging changed the source: %d", b.Count())
	}
}

func TestHistogramRefusesOthers(t *testing.T) {
	other := hdr.New(1, 1000, 2)
	text, err := other.Encode(hdr.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	good, err := NewHistogram().MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string][]byte{
		"other range": text, "empty": nil, "no base64": []byte("%%%%"), "cut off": good[:len(good)/2],
		"too long": make([]byte, maxHistText+1),
	} {
		h := NewHistogram()
		h.Record(time.Second)
		if err := h.UnmarshalText(text); !errors.Is(err, ErrHistogram) {
			t.Errorf("%s: %v", what, err)
		}
		if h.Count() != 1 {
			t.Errorf("%s: changed the histogram", what)
		}
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	h := NewHistogram()
	if n := testing.AllocsPerRun(100, func() { h.Record(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
