package cluster

import (
	"fmt"
	"testing"
)

func TestHostID(t *testing.T) {
	if got := fmt.Sprintf("%x", HostID(0x0123456789ab<<16|0xcdef)); got != "0123456789ab80008000cdef6c6f636b" {
		t.Fatal(got)
	}
}
