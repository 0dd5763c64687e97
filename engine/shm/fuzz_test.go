package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// FuzzHostile lets the other end write whatever it likes into the memory, between the
// steps of an honest one: that must neither read nor write outside of its rings, nor
// take more than a ring holds, nor go on after it has found out.
func FuzzHostile(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3})
	for _, off := range []uint16{0, 4, 8, 12, lineStep, lineStep + 4, lineStep + 8, lineStep + 12, lines, lines + MinSize} {
		seed := []byte{4}
		seed = binary.LittleEndian.AppendUint16(seed, off)
		seed = binary.LittleEndian.AppendUint64(seed, 0xffffffff_80000001)
		f.Add(append(seed, 0, 1, 2, 3, 0, 1))
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		const around = 64
		all := bytes.Repeat([]byte{0xa5}, around+Bytes(MinSize)+around)
		mem := all[around : around+Bytes(MinSize)]
		clear(mem)
		e, err := NewEnd(mem, MinSize, true)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, MinSize+300)
		for len(steps) > 0 {
			step := steps[0]
			steps = steps[1:]
			var n int
			err = nil
			switch step % 5 {
			case 0:
				n, _, err = e.Read(buf[:int(step)*17])
			case 1:
				n, _, err = e.Write([][]byte{buf[:int(step)*17], buf[:step]})
			case 2:
				e.WantRoom()
			case 3:
				e.Sleep()
				e.Ready()
				e.WakeSoon()
			case 4:
				if len(steps) < 10 {
					return
				}
				copy(mem[int(binary.LittleEndian.Uint16(steps))%len(mem):], steps[2:10])
				steps = steps[10:]
			}
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			if n < 0 || n > MinSize || e.end-e.free > MinSize {
				t.Fatalf("step %d: %d bytes, %d under way", step, n, e.end-e.free)
			}
		}
		for _, edge := range [][]byte{all[:around], all[around+len(mem):]} {
			if !bytes.Equal(edge, bytes.Repeat([]byte{0xa5}, around)) {
				t.Fatal("written outside of the memory")
			}
		}
	})
}
