package wire

import "testing"

func TestEntryList(t *testing.T) {
	var l EntryList
	n := 0
	for ; l.Fits(pattern(byte(n), 1+n%MaxName)); n++ {
		l = l.Append(pattern(byte(n), 1+n%MaxName), Life{uint64(n), uint64(n) << 40})
	}
	if err := l.check(); err != nil || len(l) > MaxEntries || n < MaxEntries/(1+MaxName+lifeSize) {
		t.Errorf("%d entries, %d bytes: %v", n, len(l), err)
	}
	for i := range n {
		name, life, rest := l.Next()
		if string(name) != string(pattern(byte(i), 1+i%MaxName)) || life != (Life{uint64(i), uint64(i) << 40}) {
			t.Errorf("entry %d: %q %v", i, name, life)
		}
		l = rest
	}
	if len(l) != 0 {
		t.Errorf("%d bytes are left", len(l))
	}
}

// A RELAY carries a LOOKUP, a NOTIFY or a REMOVE as it is.
func TestRelayCarriesAll(t *testing.T) {
	for _, typ := range []Type{Lookup, Notify, Remove} {
		if missing := fields[typ] &^ fields[Relay]; missing != 0 {
			t.Errorf("RELAY lacks fields %#x of %v", missing, typ)
		}
	}
}
