package trace

import (
	"fmt"
	"strconv"
	"strings"
)

// Flags are the flags of a request, in the kernel's DLM_LKF_ bits.
type Flags uint32

const (
	NoQueue     Flags = 0x1
	Cancel      Flags = 0x2
	Convert     Flags = 0x4
	ValBlk      Flags = 0x8
	QueCvt      Flags = 0x10
	IvValBlk    Flags = 0x20
	ConvDeadlk  Flags = 0x40
	Persistent  Flags = 0x80
	NoDlckWt    Flags = 0x100
	NoDlckBlk   Flags = 0x200
	Expedite    Flags = 0x400
	NoQueueBast Flags = 0x800
	HeadQue     Flags = 0x1000
	NoOrder     Flags = 0x2000
	Orphan      Flags = 0x4000
	AltPR       Flags = 0x8000
	AltCW       Flags = 0x10000
	ForceUnlock Flags = 0x20000
	Timeout     Flags = 0x40000
	Notify      Flags = 0x80000
	Local       Flags = 0x100000

	allFlags = Local<<1 - 1
)

// flagNames gives bit i's name as the kernel's tracepoints print it. Notify
// and Local have none there and appear as numbers.
var flagNames = [...]string{
	"NOQUEUE", "CANCEL", "CONVERT", "VALBLK", "QUECVT", "IVVALBLK", "CONVDEADLK",
	"PERSISTENT", "NODLCKWT", "NODLCKBLK", "EXPEDITE", "NOQUEUEBAST", "HEADQUE",
	"NOORDER", "ORPHAN", "ALTPR", "ALTCW", "FORCEUNLOCK", "TIMEOUT",
}

func (f Flags) String() string { return bitString(uint32(f), flagNames[:]) }

func parseFlags(s string) (Flags, error) {
	b, err := parseBits(s, flagNames[:], uint32(allFlags))
	if err != nil {
		return 0, fmt.Errorf("request flag %w", err)
	}
	return Flags(b), nil
}

// SbFlags tell more about a completion, in the kernel's DLM_SBF_ bits.
type SbFlags uint8

const (
	Demoted     SbFlags = 1 // conversion deadlock: demoted to NL
	ValNotValid SbFlags = 2 // the lock value block is not valid
	AltMode     SbFlags = 4 // granted in the alternate mode
)

var sbNames = [...]string{"DEMOTED", "VALNOTVALID", "ALTMODE"}

func (f SbFlags) String() string { return bitString(uint32(f), sbNames[:]) }

func parseSbFlags(s string) (SbFlags, error) {
	b, err := parseBits(s, sbNames[:], 1<<len(sbNames)-1)
	if err != nil {
		return 0, fmt.Errorf("status block flag %w", err)
	}
	return SbFlags(b), nil
}

// Status is the result of an operation, in the kernel's numbers.
type Status int32

const (
	OK          Status = 0
	ErrAgain    Status = -11      // -EAGAIN: NoQueue, and not grantable now
	ErrDeadlk   Status = -35      // -EDEADLK: conversion deadlock
	ErrTimedOut Status = -110     // -ETIMEDOUT
	ErrCancel   Status = -0x10001 // -DLM_ECANCEL: the operation was cancelled
	Unlocked    Status = -0x10002 // -DLM_EUNLOCK: the unlock is done
)

var statusNames = map[Status]string{
	OK: "OK", ErrAgain: "EAGAIN", ErrDeadlk: "EDEADLK", ErrTimedOut: "ETIMEDOUT",
	ErrCancel: "DLM_ECANCEL", Unlocked: "DLM_EUNLOCK",
}

func (s Status) String() string {
	if n, ok := statusNames[s]; ok {
		return n
	}
	return strconv.Itoa(int(s))
}

func parseStatus(s string) (Status, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("status %q", s)
	}
	if _, ok := statusNames[Status(n)]; !ok {
		return 0, fmt.Errorf("status %d is not one a DLM completion can have", n)
	}
	return Status(n), nil
}

// bitString and parseBits are each other's inverse: names joined by bars, and
// what has no name as one hexadecimal number at the end.
func bitString(b uint32, names []string) string {
	var parts []string
	for i, n := range names {
		if b&(1<<i) != 0 {
			parts = append(parts, n)
			b &^= 1 << i
		}
	}
	if b != 0 {
		parts = append(parts, fmt.Sprintf("0x%x", b))
	}
	return strings.Join(parts, "|")
}

func parseBits(s string, names []string, all uint32) (uint32, error) {
	if s == "" {
		return 0, nil
	}
	var bits uint32
	for part := range strings.SplitSeq(s, "|") {
		b, err := parseBit(part, names)
		if err != nil {
			return 0, err
		}
		if b == 0 || b&^all != 0 || bits&b != 0 {
			return 0, fmt.Errorf("%q in %q is unknown or repeated", part, s)
		}
		bits |= b
	}
	return bits, nil
}

func parseBit(part string, names []string) (uint32, error) {
	for i, n := range names {
		if part == n {
			return 1 << i, nil
		}
	}
	hex, ok := strings.CutPrefix(part, "0x")
	if !ok {
		return 0, fmt.Errorf("%q", part)
	}
	b, err := strconv.ParseUint(hex, 16, 32)
	if err != nil {
		return 0, fmt.Errorf("%q", part)
	}
	return uint32(b), nil
}
