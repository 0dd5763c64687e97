package agent

import (
	"encoding/binary"
	"fmt"

	"github.com/lockify-dlm/lockify/cluster"
)

// envelope is what mail consists of:
//
//	0  1     1 a message, 2 a refusal
//	1  2     id of the sender
//	3  1+n   name of its cluster
//	   1+n   where the sender is reached
//	   rest  payload of package cluster, or the reason of the refusal
type envelope struct {
	kind    byte
	from    uint16
	cluster string
	addr    string
	payload []byte // of the bytes that were decoded
}

const (
	isMessage = 1
	isRefusal = 2
)

const (
	maxNameLen = 255
	maxReason  = 500 // bytes of a refusal's reason that are kept
)

func (e *envelope) append(b []byte) []byte {
	b = append(b, e.kind)
	b = binary.LittleEndian.AppendUint16(b, e.from)
	b = append(append(b, byte(len(e.cluster))), e.cluster...)
	b = append(append(b, byte(len(e.addr))), e.addr...)
	return append(b, e.payload...)
}

func decodeEnvelope(b []byte) (e envelope, err error) {
	bad := fmt.Errorf("%w: mail of %d bytes that is cut off or of a newer version", cluster.ErrInvalid, len(b))
	if len(b) < 5 || b[0] != isMessage && b[0] != isRefusal {
		return e, bad
	}
	e.kind, e.from = b[0], binary.LittleEndian.Uint16(b[1:])
	b = b[3:]
	for _, s := range []*string{&e.cluster, &e.addr} {
		if len(b) == 0 {
			return e, bad
		}
		end := 1 + int(b[0])
		if len(b) < end {
			return e, bad
		}
		*s, b = string(b[1:end]), b[end:]
	}
	if e.from == 0 || e.cluster == "" || e.addr == "" || len(e.addr) > cluster.MaxAddr || len(b) > cluster.MaxPayload {
		return e, bad
	}
	e.payload = b
	return e, nil
}
