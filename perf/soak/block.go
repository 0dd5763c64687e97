package soak

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
)

// blockSize is the bytes of what is written as one piece, and checked.
const blockSize = 4096

// Offsets in a block.
const (
	atNumber = 0
	atWrite  = 8
	atSum    = 16
	atRest   = 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp fills b with the content of block number after the given write; write 0 is all
// zeroes.
func stamp(b []byte, number, write uint64) {
	if write == 0 {
		clear(b)
		return
	}
	le := binary.LittleEndian
	le.PutUint64(b[atNumber:], number)
	le.PutUint64(b[atWrite:], write)
	rng := rand.NewPCG(number, write)
	for i := atRest; i < blockSize; i += 8 {
		le.PutUint64(b[i:], rng.Uint64())
	}
	le.PutUint64(b[atSum:], sum(b))
}

func sum(b []byte) uint64 {
	s := crc32.Update(0, castagnoli, b[:atSum])
	return uint64(crc32.Update(s, castagnoli, b[atRest:blockSize]))
}

// written says which write b is of, if it is block number as a whole.
func written(b []byte, number uint64) (uint64, error) {
	le := binary.LittleEndian
	write := le.Uint64(b[atWrite:])
	if write == 0 {
		for i, v := range b {
			if v != 0 {
				return 0, fmt.Errorf("block %d: byte %d is %#x where all should be zero", number, i, v)
			}
		}
		return 0, nil
	}
	if n := le.Uint64(b[atNumber:]); n != number {
		return 0, fmt.Errorf("block %d: it has the number %d", number, n)
	}
	if s := le.Uint64(b[atSum:]); s != sum(b) {
		return 0, fmt.Errorf("block %d: write %d: the checksum is wrong", number, write)
	}
	return write, nil
}

// block is what its worker knows of it.
type block struct {
	number uint64
	held   uint64   // the last write that has succeeded
	lost   []uint64 // writes since the epoch began of which nobody knows: they may also be late
	busy   bool     // a request is under way
}

// may says whether the block may hold a write.
func (k *block) may(write uint64) bool { return write == k.held || slices.Contains(k.lost, write) }

// check says what is wrong with what was read.
func (k *block) check(b []byte) error {
	write, err := written(b, k.number)
	if err == nil && !k.may(write) {
		err = fmt.Errorf("block %d: it holds write %d, and may hold %d or %v", k.number, write, k.held, k.lost)
	}
	return err
}
