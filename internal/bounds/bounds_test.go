package bounds

import (
	"testing"
	"time"

	"github.com/lockify-dlm/lockify/cluster"
)

// TestRange: both ends are in the range, which is written as people do.
func TestRange(t *testing.T) {
	for v, want := range map[time.Duration]bool{0: false, time.Millisecond - 1: false, time.Millisecond: true, 24 * time.Hour: true, 24*time.Hour + 1: false} {
		if got := IdleAfter.Has(v); got != want {
			t.Errorf("%v: %v", v, got)
		}
	}
	for got, want := range map[string]string{
		IdleAfter.String(): "1ms to 24h", Lease.String(): "200ms to 1h", Shards.String(): "1 to 256",
		Text(10 * time.Second): "10s", Text(5 * time.Minute): "5m", Text(90 * time.Minute): "1h30m", Text(61 * time.Minute): "1h1m", Text(time.Duration(0)): "0s", Text(100): "100",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestCluster: what a cluster is made with by default is the default of the settings.
func TestCluster(t *testing.T) {
	if got := cluster.DefaultTerms().Lease; got != int64(Lease.Default) {
		t.Errorf("lease of %d ns, want %v", got, Lease.Default)
	}
	for n := range cluster.MaxVoters + 3 {
		if got := CanVote(n); got != (n <= cluster.MaxVoters && n%2 == 1) {
			t.Errorf("%d voters: %v", n, got)
		}
	}
}
