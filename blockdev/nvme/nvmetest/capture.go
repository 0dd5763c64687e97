package nvmetest

import (
	"encoding/binary"
	"os"
	"sync"

	"github.com/lockify-dlm/lockify/blockdev/nvme"
)

// Port is the controller's TCP port in a capture.
const Port = 4420

// maxSegment is the most bytes of a TCP segment in a capture. They are larger
// than on most networks, so that most PDUs are in one.
const maxSegment = 32 << 10

// Capture is what was sent over some connections, in the order of sending. It
// may be used by several goroutines.
type Capture struct {
	mu      sync.Mutex
	packets []packet
	conns   int
}

type packet struct {
	conn  *Conn
	from  nvme.Role
	flags uint8 // of TCP
	seq   uint32
	ack   uint32
	data  []byte
}

// Conn is a connection of a Capture.
type Conn struct {
	capture *Capture
	port    uint16    // the host's
	sent    [3][]byte // by Role
	next    [3]uint32 // sequence numbers, by Role
}

// Flags of TCP.
const (
	tcpSYN = 0x02
	tcpPSH = 0x08
	tcpACK = 0x10
)

// Conn opens a connection. A host makes one for each queue.
func (c *Capture) Conn() *Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns++
	conn := &Conn{capture: c, port: uint16(49152 + c.conns)}
	conn.add(nvme.Host, tcpSYN, nil)
	conn.add(nvme.Controller, tcpSYN|tcpACK, nil)
	return conn
}

// Send records that one end has sent b, which is copied: any number of bytes, in
// any pieces.
func (c *Conn) Send(from nvme.Role, b []byte) {
	c.capture.mu.Lock()
	defer c.capture.mu.Unlock()
	c.sent[from] = append(c.sent[from], b...)
	for len(b) > 0 {
		n := min(len(b), maxSegment)
		c.add(from, tcpPSH|tcpACK, append([]byte(nil), b[:n]...))
		b = b[n:]
	}
}

func (c *Conn) add(from nvme.Role, flags uint8, data []byte) {
	to := nvme.Host + nvme.Controller - from
	c.capture.packets = append(c.capture.packets, packet{c, from, flags, c.next[from], c.next[to], data})
	c.next[from] += uint32(len(data))
	if flags&tcpSYN != 0 {
		c.next[from]++
	}
}

// PDUs counts the whole PDUs that were sent.
func (c *Conn) pdus() (n int) {
	for _, stream := range c.sent {
		for len(stream) >= nvme.HeaderSize {
			size := uint64(binary.LittleEndian.Uint32(stream[4:]))
			if size < nvme.HeaderSize || size > uint64(len(stream)) {
				break
			}
			stream = stream[size:]
			n++
		}
	}
	return n
}

// Write writes the capture as a pcap file that tshark and Wireshark read.
func (c *Capture) Write(path string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	const linkTypeIPv4 = 228
	le := binary.LittleEndian
	out := le.AppendUint32(nil, 0xa1b2c3d4) // times in us
	out = le.AppendUint16(out, 2)
	out = le.AppendUint16(out, 4)
	out = append(out, make([]byte, 8)...)
	out = le.AppendUint32(out, 1<<18) // most bytes of a packet
	out = le.AppendUint32(out, linkTypeIPv4)
	for i, p := range c.packets {
		b := p.ip()
		out = le.AppendUint32(out, uint32(i/1000_000))
		out = le.AppendUint32(out, uint32(i%1000_000)) // a us each: the order is all that counts
		out = le.AppendUint32(out, uint32(len(b)))
		out = le.AppendUint32(out, uint32(len(b)))
		out = append(out, b...)
	}
	return os.WriteFile(path, out, 0o644)
}

// ip gives IPv4 and TCP headers, and the data. Checksums are zero: tshark does
// not look at them.
func (p *packet) ip() []byte {
	const heads = 40
	src, dst := [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2} // the host's, the controller's
	srcPort, dstPort := p.conn.port, uint16(Port)
	if p.from == nvme.Controller {
		src, dst, srcPort, dstPort = dst, src, dstPort, srcPort
	}
	be := binary.BigEndian
	b := be.AppendUint16([]byte{0x45, 0}, uint16(heads+len(p.data)))
	b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0) // don't fragment; TTL 64; TCP
	b = append(append(b, src[:]...), dst[:]...)
	b = be.AppendUint16(be.AppendUint16(b, srcPort), dstPort)
	b = be.AppendUint32(be.AppendUint32(b, p.seq), p.ack)
	b = append(b, 5<<4, p.flags, 0xff, 0xff, 0, 0, 0, 0)
	return append(b, p.data...)
}
