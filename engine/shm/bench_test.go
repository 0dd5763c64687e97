package shm

import "testing"

// BenchmarkPingPong measures what a request and its answer of 128 bytes each cost
// where both ends spin: what the processors need to show each other memory.
func BenchmarkPingPong(b *testing.B) {
	node, client := pair(b, MinSize)
	stop := make(chan struct{})
	go func() {
		var buf [128]byte
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 1000 {
				if n, _, _ := node.Read(buf[:]); n > 0 {
					node.Write([][]byte{buf[:n]})
				}
			}
		}
	}()
	var buf [128]byte
	out := [][]byte{buf[:]}
	b.ReportAllocs()
	for b.Loop() {
		client.Write(out)
		for !client.Ready() {
		}
		client.Read(buf[:])
	}
	close(stop)
}
