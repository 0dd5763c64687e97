package engine

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/lockify-dlm/lockify/wire"
)

// releaseAbove is how many bytes a frameReader consumes before it lets the
// transport have their memory back.
const releaseAbove = 256 << 10

// FrameStats counts what went over one connection.
type FrameStats struct {
	FramesIn, BytesIn   uint64 // bytes as received, headers included
	FramesOut, BytesOut uint64
	Writes              uint64 // system calls that wrote
	Queued              int    // bytes accepted by Send and not yet written
}

// counters is the live form of FrameStats. Only the goroutine that reads
// counts in, only the writer counts out.
type counters struct {
	framesIn, bytesIn, framesOut, bytesOut, writes atomic.Uint64
}

func (c *counters) out(frames, bytes, calls int) {
	c.framesOut.Add(uint64(frames))
	c.bytesOut.Add(uint64(bytes))
	c.writes.Add(uint64(calls))
}

func (c *counters) stats() FrameStats {
	return FrameStats{
		FramesIn: c.framesIn.Load(), BytesIn: c.bytesIn.Load(),
		FramesOut: c.framesOut.Load(), BytesOut: c.bytesOut.Load(),
		Writes: c.writes.Load(),
	}
}

// frameReader cuts a stream into frames, in place.
type frameReader struct {
	h       wire.Header
	head    [wire.HeaderSize]byte  // its bytes
	begun   bool                   // the header was read, the payload not
	stop    bool                   // set in a frame: what is behind it is no frame of this stream
	most    uint32                 // bytes of a payload as it comes; 0: wire.MaxPayload
	scratch *[wire.MaxPayload]byte // for decompressing; nil until needed
}

var scratches = sync.Pool{New: func() any { return new([wire.MaxPayload]byte) }}

// read hands all complete frames in r to on and returns how many there were.
// h and payload live until on returns. Payloads come decompressed; h.Length
// and h.Flags say so. An error means that the stream is of no use any more.
func (f *frameReader) read(r Reader, count *counters, on func(h *wire.Header, payload []byte) error) (frames int, err error) {
	held := 0
	defer func() {
		if f.scratch != nil {
			scratches.Put(f.scratch)
			f.scratch = nil
		}
	}()
	for {
		if held > releaseAbove {
			r.Release()
			held = 0
		}
		if ok, err := f.header(r); !ok || err != nil {
			return frames, err
		}
		if r.Len() < int(f.h.Length) {
			return frames, nil
		}
		payload, err := r.Next(int(f.h.Length))
		if err != nil {
			return frames, err
		}
		f.begun = false
		size := wire.HeaderSize + len(payload)
		held += size
		count.framesIn.Add(1)
		count.bytesIn.Add(uint64(size))
		frames++
		if err := f.deliver(payload, on); err != nil || f.stop {
			return frames, err
		}
	}
}

// header reads the next header, if that was not done before and it is there.
func (f *frameReader) header(r Reader) (ok bool, err error) {
	if f.begun {
		return true, nil
	}
	if r.Len() < wire.HeaderSize {
		return false, nil
	}
	b, err := r.Next(wire.HeaderSize)
	if err != nil {
		return false, err
	}
	copy(f.head[:], b)
	f.begun = true
	err = wire.ParseHeader(f.head[:], &f.h)
	if err == nil && f.most > 0 && f.h.Length > f.most {
		err = fmt.Errorf("%w: a frame of %d bytes, at most %d now", wire.ErrTooLarge, f.h.Length, f.most)
	}
	return true, err
}

func (f *frameReader) deliver(payload []byte, on func(*wire.Header, []byte) error) error {
	if err := wire.CheckCRC(f.head[:], payload); err != nil {
		return err
	}
	if f.h.Flags&wire.FlagCompressed != 0 {
		if f.scratch == nil {
			f.scratch = scratches.Get().(*[wire.MaxPayload]byte)
		}
		plain, err := wire.Decompress(&f.h, payload, f.scratch[:])
		if err != nil {
			return err
		}
		payload = plain
		f.h.Flags &^= wire.FlagCompressed
		f.h.Length = uint32(len(payload))
	}
	return on(&f.h, payload)
}

// decodeOne reads the only message of a frame of the link itself.
func decodeOne(h *wire.Header, payload []byte, m *wire.Msg) error {
	var it wire.Messages
	it.Reset(h, payload)
	more, err := it.Next(m)
	if err != nil {
		return err
	}
	if !more || h.Count != 1 {
		return fmt.Errorf("%w: %d messages in a frame of the link, want 1", wire.ErrField, h.Count)
	}
	return nil
}

// sealOne makes a sealed frame of one message.
func sealOne(h wire.Header, m *wire.Msg) []byte {
	frame := m.Append(GetBuf())
	h.Count = 1
	wire.SealFrame(frame, &h)
	return frame
}
