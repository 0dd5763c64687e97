package shm

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"testing"
)

// pair gives both ends of rings in plain memory, which the race detector sees.
func pair(t testing.TB, size int) (node, client *End) {
	t.Helper()
	mem := make([]byte, Bytes(size))
	node, err := NewEnd(mem, size, true)
	if err != nil {
		t.Fatal(err)
	}
	client, err = NewEnd(mem, size, false)
	if err != nil {
		t.Fatal(err)
	}
	return node, client
}

func write(t *testing.T, e *End, b []byte) (n int, wake bool) {
	t.Helper()
	n, wake, err := e.Write([][]byte{b[:len(b)/2], b[len(b)/2:]})
	if err != nil {
		t.Fatal(err)
	}
	return n, wake
}

func read(t *testing.T, e *End, size int) (b []byte, wake bool) {
	t.Helper()
	b = make([]byte, size)
	n, wake, err := e.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n], wake
}

func TestBothWaysAndAround(t *testing.T) {
	node, client := pair(t, MinSize)
	for i := range 3 * MinSize / 100 { // several times around
		for _, way := range [][2]*End{{node, client}, {client, node}} {
			want := bytes.Repeat([]byte{byte(i)}, 100+i%3)
			if n, wake := write(t, way[0], want); n != len(want) || wake {
				t.Fatalf("%d of %d bytes, wake %t", n, len(want), wake)
			}
			if !way[1].Ready() {
				t.Fatal("not ready")
			}
			if got, _ := read(t, way[1], 1000); !bytes.Equal(got, want) {
				t.Fatalf("round %d: got %q", i, got)
			}
			if way[1].Ready() {
				t.Fatal("ready for nothing")
			}
		}
	}
}

func TestFull(t *testing.T) {
	node, client := pair(t, MinSize)
	if n, _ := write(t, node, make([]byte, MinSize+1)); n != MinSize {
		t.Fatalf("%d bytes fit, want %d", n, MinSize)
	}
	if n, _ := write(t, node, []byte{1, 2}); n != 0 {
		t.Fatalf("%d bytes fit into a full ring", n)
	}
	node.WantRoom()
	if _, wake := read(t, client, MinSize/4-1); wake {
		t.Error("woken for room that is not shown")
	}
	if _, wake := read(t, client, 1); !wake {
		t.Error("not woken for a quarter of the ring")
	}
	if n, _ := write(t, node, make([]byte, MinSize)); n != MinSize/4 {
		t.Errorf("%d bytes fit, want %d", n, MinSize/4)
	}
	if _, wake := read(t, client, MinSize); wake {
		t.Error("woken twice for one wait")
	}
}

func TestWokenOncePerSleep(t *testing.T) {
	node, client := pair(t, MinSize)
	for i := range 3 {
		client.Sleep()
		client.Sleep()
		for j := range 3 {
			if _, wake := write(t, node, []byte{1, 2}); wake != (j == 0) {
				t.Errorf("sleep %d, write %d: wake %t", i, j, wake)
			}
		}
		client.Wake()
		client.Wake()
		if _, wake := write(t, node, []byte{1, 2}); wake {
			t.Error("an end was woken that is awake")
		}
	}
}

func TestWakeSoon(t *testing.T) {
	node, client := pair(t, MinSize)
	client.Sleep()
	client.WakeSoon()
	write(t, client, []byte{1, 2})
	if _, wake := write(t, node, []byte{1, 2}); wake {
		t.Error("an end was woken that has said that it is awake")
	}
	client.Sleep()
	client.WakeSoon()
	client.Sleep() // without a Write between
	if _, wake := write(t, node, []byte{1, 2}); !wake {
		t.Error("not woken")
	}
	client.Wake()
	client.Sleep()
	if _, wake := write(t, node, []byte{1, 2}); !wake {
		t.Error("not woken from the next sleep")
	}
}

// The counters share a word, and each goes around by itself.
func TestCountersOverflow(t *testing.T) {
	node, client := pair(t, MinSize)
	client.sleep = math.MaxUint32
	client.mine.word.Store(math.MaxUint32)
	for _, e := range []*End{node, client} { // what has been written and read before
		e.end, e.free, e.head, e.shown = math.MaxUint32-1, math.MaxUint32-1, math.MaxUint32-1, math.MaxUint32-1
		e.mine.word.Add((math.MaxUint32 - 1) << 32)
		e.mine.head.Store(math.MaxUint32 - 1)
	}
	client.Wake()
	if w := client.mine.word.Load(); w != (math.MaxUint32-1)<<32 {
		t.Errorf("word %#x after the counter of sleeps went around", w)
	}
	want := []byte("around")
	write(t, client, want)
	if got, _ := read(t, node, 10); !bytes.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	client.Sleep()
	if _, wake := write(t, node, want); !wake {
		t.Error("not woken")
	}
}

func TestSizes(t *testing.T) {
	for _, size := range []int{-1, 0, MinSize / 2, MinSize + 1, 2 * MaxSize, math.MinInt} {
		if _, err := NewEnd(nil, size, true); !errors.Is(err, ErrSize) {
			t.Errorf("a ring of %d bytes: %v", size, err)
		}
		if _, _, err := Create(size); !errors.Is(err, ErrSize) {
			t.Errorf("Create(%d): %v", size, err)
		}
	}
	if _, err := NewEnd(make([]byte, 100), MinSize, true); !errors.Is(err, ErrSize) {
		t.Errorf("short memory: %v", err)
	}
}

func TestMemory(t *testing.T) {
	node, file, err := Create(MinSize)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, size := range []int64{0, int64(Bytes(MinSize)) - 1, 1 << 20} {
		if err := os.Truncate(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), size); err == nil {
			t.Errorf("the size could be changed to %d", size)
		}
	}
	if _, err := Open(file, 2*MinSize); !errors.Is(err, ErrSize) {
		t.Errorf("opened with another size: %v", err)
	}
	client, err := Open(file, MinSize)
	if err != nil {
		t.Fatal(err)
	}
	write(t, node, []byte("through the kernel"))
	if got, _ := read(t, client, 100); string(got) != "through the kernel" {
		t.Errorf("got %q", got)
	}
	for _, e := range []*End{node, client} {
		if err := e.Unmap(); err != nil {
			t.Error(err)
		}
	}
}

func TestUnsealedMemoryRefused(t *testing.T) {
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(int64(Bytes(MinSize))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, MinSize); err == nil {
		t.Error("opened a file that can be made shorter")
	}
}

// sleeper is one end with a bell, as package engine has one.
type sleeper struct {
	*End
	bell chan struct{}
}

func (s sleeper) ring() {
	select {
	case s.bell <- struct{}{}:
	default: // one is on its way
	}
}

// TestNobodySleepsBesideBytes: both ends sleep whenever they can. A lost bell would
// stop it for good.
func TestNobodySleepsBesideBytes(t *testing.T) {
	const total = 4 << 20
	a, b := pair(t, MinSize)
	node, client := sleeper{a, make(chan struct{}, 1)}, sleeper{b, make(chan struct{}, 1)}
	var wg sync.WaitGroup
	for i, way := range [][2]sleeper{{node, client}, {client, node}} {
		from, to := way[0], way[1]
		room := make(chan struct{}, 1)
		wg.Go(func() { // writes
			var sent int
			chunk := make([]byte, 700)
			for waits := false; sent < total; {
				size := min(1+sent%len(chunk), total-sent)
				for j := range size {
					chunk[j] = byte((sent + j) * (i + 3))
				}
				n, wake, err := from.Write([][]byte{chunk[:size]})
				if err != nil {
					t.Error(err)
					return
				}
				if wake {
					to.ring()
				}
				sent += n
				switch {
				case n > 0:
					waits = false
				case !waits:
					from.WantRoom()
					waits = true
				default:
					<-room
					waits = false
				}
			}
		})
		wg.Go(func() { // reads
			var got int
			buf := make([]byte, 999)
			for got < total {
				n, wake, err := to.Read(buf)
				if err != nil {
					t.Error(err)
					return
				}
				if wake {
					select {
					case room <- struct{}{}:
					default:
					}
				}
				for j := range n {
					if buf[j] != byte((got+j)*(i+3)) {
						t.Errorf("byte %d is wrong", got+j)
						return
					}
				}
				if got += n; n > 0 {
					continue
				}
				if to.Sleep(); to.Ready() {
					to.Wake()
					continue
				}
				<-to.bell
				to.Wake()
				if got%3 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
}
