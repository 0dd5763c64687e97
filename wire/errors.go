package wire

import "errors"

// What can be wrong with received bytes. Each is fatal for the connection.
var (
	ErrTruncated = errors.New("wire: truncated")
	ErrMagic     = errors.New("wire: not a lockify frame")
	ErrVersion   = errors.New("wire: unsupported version")
	ErrKind      = errors.New("wire: unknown frame kind")
	ErrFlags     = errors.New("wire: unknown frame flags")
	ErrTooLarge  = errors.New("wire: over a limit")
	ErrChecksum  = errors.New("wire: checksum mismatch")
	ErrType      = errors.New("wire: unknown message type")
	ErrField     = errors.New("wire: bad field")
	ErrTrailing  = errors.New("wire: bytes left over")
	ErrCompress  = errors.New("wire: bad compressed payload")
)
