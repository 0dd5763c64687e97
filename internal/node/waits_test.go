package node

import (
	"testing"

	"github.com/lockify-dlm/lockify/lockspace"
)

// TestWaitEnd: what is known of the end of a wait.
func TestWaitEnd(t *testing.T) {
	w := longWait{wanted: lockspace.EX}
	for _, c := range []struct {
		granted lockspace.Mode
		there   bool
		want    string
	}{
		{lockspace.EX, true, "granted"},
		{lockspace.NoMode, true, "given up"},
		{lockspace.PR, true, "over"}, // a conversion that was given up, or one back after it
		{lockspace.NoMode, false, "over"},
	} {
		if got := w.end(lockspace.OwnLock{Granted: c.granted}, c.there); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
