package wire

import (
	"errors"
	"strings"
	"testing"
)

func TestVersionRange(t *testing.T) {
	if got := VersionRange(0x1234, 0x5678); got != 0x56781234 {
		t.Errorf("range packs to %#x", got)
	}
	if low, high := splitVersionRange(0x56781234); low != 0x1234 || high != 0x5678 {
		t.Errorf("range splits to %#x, %#x", low, high)
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct {
		low, high uint16
		want      uint8 // 0: none
	}{
		{VersionMin, VersionMax, VersionMax},
		{0, 0xffff, VersionMax},
		{VersionMax, 0xffff, VersionMax},
		{0, VersionMin, VersionMin},
		{VersionMax + 1, 0xffff, 0},
		{0, VersionMin - 1, 0},
		{0xffff, 0, 0},
		{VersionMax + 1, VersionMin, 0},
		{257, 257, 0}, // would be version 1 if cut to 8 bits
	} {
		got, err := Negotiate(VersionRange(c.low, c.high))
		if got != c.want || (err == nil) != (c.want != 0) || err != nil && !errors.Is(err, ErrVersion) {
			t.Errorf("offer %d to %d: %d, %v; want %d", c.low, c.high, got, err, c.want)
		}
	}
	_, err := Negotiate(VersionRange(7, 9))
	if text := err.Error(); !strings.Contains(text, "offered 7 to 9") || len(text) > MaxText {
		t.Errorf("text for the refusal: %q", text)
	}
}

func TestFeatureBits(t *testing.T) {
	// The numbers are part of the format.
	if FeatureCompress != 1 || FeatureClaims != 2 || FeatureLease != 4 || FeatureIdentity != 8 || FeatureRing != 16 || FeatureLook != 32 || FeatureAccess != 64 || FeatureTrace != 128 || FeatureClose != 256 || Features != 511 || HelloVersion != 1 {
		t.Error("a feature bit or the version of a HELLO has changed")
	}
}
