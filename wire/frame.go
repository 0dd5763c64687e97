package wire

import (
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/s2"
)

// CompressAbove is the payload size in bytes up to which compressing is not
// tried: such a frame is one packet on the network either way.
const CompressAbove = 1024

// SpaceID gives the number by which frames name a lockspace: the CRC32C of its
// name, and 1 in place of 0, which means none. Two names may collide; whoever
// opens a lockspace compares the name.
func SpaceID(name string) uint32 {
	return max(crc32.Checksum([]byte(name), castagnoli), 1)
}

// CompressScratch gives the bytes of scratch with which Compress needs no new
// buffer for a frame of frameSize bytes, header room included.
func CompressScratch(frameSize int) int {
	return HeaderSize + s2.MaxEncodedLen(frameSize-HeaderSize)
}

// Compress prepares a frame (header room and payload, at most MaxPayload) for
// SealFrame, if the peer has FeatureCompress. A payload above CompressAbove is
// compressed if that makes it smaller: out then lies in scratch, or in new
// memory if cap(scratch) is below CompressScratch(len(frame)). Otherwise out is
// frame. h.Flags gets or loses FlagCompressed accordingly. frame is not written
// to, and it must not overlap scratch. A longer payload is a programming error
// and panics: the peer would refuse the frame.
func Compress(frame []byte, h *Header, scratch []byte) (out []byte) {
	payload := frame[HeaderSize:]
	mustFit("payload", len(payload), MaxPayload)
	h.Flags &^= FlagCompressed
	if len(payload) <= CompressAbove {
		return frame
	}
	if need := CompressScratch(len(frame)); cap(scratch) < need {
		scratch = make([]byte, need)
	}
	room := scratch[:cap(scratch)]
	block := s2.Encode(room[HeaderSize:], payload)
	if len(block) >= len(payload) {
		return frame
	}
	h.Flags |= FlagCompressed
	return room[:HeaderSize+len(block)]
}

// Decompress gives the messages of a payload as received. Without
// FlagCompressed that is payload itself. Otherwise they lie in scratch, or, if
// cap(scratch) is too small, in new memory of at most MaxPayload bytes; the
// decoded size is checked before anything is decoded or allocated. payload and
// scratch must not overlap. Errors: ErrCompress, ErrTooLarge.
func Decompress(h *Header, payload, scratch []byte) ([]byte, error) {
	if h.Flags&FlagCompressed == 0 {
		return payload, nil
	}
	size, err := s2.DecodedLen(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompress, err)
	}
	if size > MaxPayload {
		return nil, fmt.Errorf("%w: payload decodes to %d bytes, at most %d", ErrTooLarge, size, MaxPayload)
	}
	out, err := s2.Decode(scratch, payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCompress, err)
	}
	return out, nil
}

// Messages walks over the messages of one frame. The zero value is an empty
// frame; Reset makes it ready for the next one.
//
//	var it wire.Messages
//	it.Reset(&h, payload)
//	for {
//		more, err := it.Next(&m)
//		if err != nil { close the connection }
//		if !more { break }
//		handle(&m)
//	}
//
// A bad message is found only when it is reached: those before it have been
// handed out by then.
type Messages struct {
	rest []byte // not read yet
	left int    // messages that the header still promises
	kind Kind
	err  error // sticks
}

// Reset starts at the first of h.Count messages in payload, which is already
// decompressed and must stay as it is while decoded messages are in use.
func (it *Messages) Reset(h *Header, payload []byte) {
	*it = Messages{rest: payload, left: int(h.Count), kind: h.Kind}
}

// Next decodes the next message into m, in place and without allocation, and
// says whether there was one. It ends without an error only if the payload held
// exactly the number of messages that the header says. An error repeats on
// each further call. Errors: those of Msg.Decode; ErrType also for a message
// that does not belong into this kind of frame; ErrTruncated for too few
// messages, ErrTrailing for too many.
func (it *Messages) Next(m *Msg) (bool, error) {
	if it.err != nil {
		return false, it.err
	}
	if it.left == 0 {
		if len(it.rest) != 0 {
			it.err = fmt.Errorf("%w: %d behind the last message", ErrTrailing, len(it.rest))
		}
		return false, it.err
	}
	n, err := m.Decode(it.rest)
	if err == nil && m.Type.Kind() != it.kind {
		err = fmt.Errorf("%w: %v in a frame of kind %d", ErrType, m.Type, it.kind)
	}
	if err != nil {
		it.err = err
		return false, err
	}
	it.rest = it.rest[n:]
	it.left--
	return true, nil
}
