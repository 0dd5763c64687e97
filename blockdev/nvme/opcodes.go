package nvme

import "fmt"

// Opcode is a command's opcode. Admin and I/O commands have the same numbers;
// the queue decides.
type Opcode uint8

const (
	OpGetLogPage  Opcode = 0x02 // base specification, "Admin Command Set"
	OpIdentify    Opcode = 0x06
	OpAbort       Opcode = 0x08
	OpSetFeatures Opcode = 0x09
	OpGetFeatures Opcode = 0x0a
	OpAsyncEvent  Opcode = 0x0c
	OpKeepAlive   Opcode = 0x18

	OpFabrics Opcode = 0x7f // on all queues

	OpFlush               Opcode = 0x00 // NVM command set specification
	OpWrite               Opcode = 0x01
	OpRead                Opcode = 0x02
	OpCompare             Opcode = 0x05
	OpWriteZeroes         Opcode = 0x08
	OpDatasetManagement   Opcode = 0x09
	OpVerify              Opcode = 0x0c
	OpReservationRegister Opcode = 0x0d
	OpReservationReport   Opcode = 0x0e
	OpReservationAcquire  Opcode = 0x11
	OpReservationRelease  Opcode = 0x15
)

// FabricsType is the type of a Fabrics command (base specification, "Fabrics
// Command Set").
type FabricsType uint8

const (
	FabricsPropertySet FabricsType = 0x00
	FabricsConnect     FabricsType = 0x01
	FabricsPropertyGet FabricsType = 0x04
	FabricsAuthSend    FabricsType = 0x05
	FabricsAuthReceive FabricsType = 0x06
	FabricsDisconnect  FabricsType = 0x08
)

var adminNames = map[Opcode]string{
	OpGetLogPage: "Get Log Page", OpIdentify: "Identify", OpAbort: "Abort", OpSetFeatures: "Set Features",
	OpGetFeatures: "Get Features", OpAsyncEvent: "Asynchronous Event Request", OpKeepAlive: "Keep Alive",
}

var ioNames = map[Opcode]string{
	OpFlush: "Flush", OpWrite: "Write", OpRead: "Read", OpCompare: "Compare", OpWriteZeroes: "Write Zeroes",
	OpDatasetManagement: "Dataset Management", OpVerify: "Verify", OpReservationRegister: "Reservation Register",
	OpReservationReport: "Reservation Report", OpReservationAcquire: "Reservation Acquire",
	OpReservationRelease: "Reservation Release",
}

var fabricsNames = map[FabricsType]string{
	FabricsPropertySet: "Property Set", FabricsConnect: "Connect", FabricsPropertyGet: "Property Get",
	FabricsAuthSend: "Authentication Send", FabricsAuthReceive: "Authentication Receive",
	FabricsDisconnect: "Disconnect",
}

// Name says for people what the command is, on the admin queue or an I/O queue.
func (c *Command) Name(admin bool) string {
	name, kind, number := ioNames[c.Opcode], "I/O opcode", uint8(c.Opcode)
	switch {
	case c.Opcode == OpFabrics:
		name, kind, number = fabricsNames[c.Fabrics()], "Fabrics type", uint8(c.Fabrics())
	case admin:
		name, kind = adminNames[c.Opcode], "admin opcode"
	}
	if name == "" {
		return fmt.Sprintf("%s %#02x", kind, number)
	}
	return name
}
