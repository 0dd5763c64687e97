package nvme

import "fmt"

// Status is the status field of a completion without phase tag: bits 0 to 7 the
// code, 8 to 10 its type, 11 and 12 the retry delay, 13 More, 14 Do Not Retry
// (base specification, "Status Field"). As an error it is what a command ended
// with.
type Status uint16

const (
	More Status = 1 << 13 // the error log has more
	DNR  Status = 1 << 14 // do not retry: it will fail again
)

// Generic command status (type 0).
const (
	StatusSuccess            Status = 0x00
	StatusInvalidOpcode      Status = 0x01
	StatusInvalidField       Status = 0x02
	StatusIDConflict         Status = 0x03
	StatusDataTransfer       Status = 0x04
	StatusPowerLoss          Status = 0x05
	StatusInternal           Status = 0x06
	StatusAborted            Status = 0x07
	StatusAbortedQueue       Status = 0x08
	StatusFusedFailed        Status = 0x09
	StatusFusedMissing       Status = 0x0a
	StatusInvalidNamespace   Status = 0x0b
	StatusSequence           Status = 0x0c
	StatusSGLSegment         Status = 0x0d
	StatusSGLCount           Status = 0x0e
	StatusDataSGLLength      Status = 0x0f
	StatusMetaSGLLength      Status = 0x10
	StatusSGLType            Status = 0x11
	StatusAtomicWrite        Status = 0x14
	StatusDenied             Status = 0x15
	StatusSGLOffset          Status = 0x16
	StatusHostIDFormat       Status = 0x18
	StatusKeepAliveExpired   Status = 0x19
	StatusKeepAliveInvalid   Status = 0x1a
	StatusPreempted          Status = 0x1b // aborted due to preempt and abort
	StatusSGLGranularity     Status = 0x1e
	StatusWriteProtected     Status = 0x20
	StatusInterrupted        Status = 0x21
	StatusTransientTransport Status = 0x22 // also a wrong data digest
	StatusMediaNotReady      Status = 0x24
	StatusLBARange           Status = 0x80
	StatusCapacity           Status = 0x81
	StatusNamespaceNotReady  Status = 0x82
	StatusReservation        Status = 0x83 // reservation conflict
)

// Command specific status (type 1). The first six of 180h and above belong to
// Connect, and two of them to NVM commands as well.
const (
	StatusInvalidQueueID      Status = 0x101
	StatusQueueSize           Status = 0x102
	StatusAbortLimit          Status = 0x103
	StatusAsyncLimit          Status = 0x105
	StatusInvalidLogPage      Status = 0x109
	StatusFeatureNotSaveable  Status = 0x10d
	StatusFeatureNotChangable Status = 0x10e
	StatusFeatureNotNamespace Status = 0x10f
	StatusCommandSet          Status = 0x129 // I/O command set not supported
	StatusConnectFormat       Status = 0x180
	StatusConnectBusy         Status = 0x181
	StatusConnectParameters   Status = 0x182
	StatusConnectRestart      Status = 0x183 // restart discovery
	StatusConnectHost         Status = 0x184 // this host is not allowed
	StatusConnectQueueType    Status = 0x185
	StatusDiscoverRestart     Status = 0x190
	StatusAuthRequired        Status = 0x191
	StatusAttributes          Status = 0x180 // NVM: conflicting attributes
	StatusSizeLimit           Status = 0x183 // NVM: command size limit exceeded
)

// Media and data integrity errors (type 2), and path related status (type 3).
const (
	StatusWriteFault      Status = 0x280
	StatusReadError       Status = 0x281
	StatusCompareFailed   Status = 0x285
	StatusAccessDenied    Status = 0x286
	StatusUnwritten       Status = 0x287
	StatusPathInternal    Status = 0x300
	StatusANALoss         Status = 0x301 // asymmetric access persistent loss
	StatusANAInaccessible Status = 0x302
	StatusANATransition   Status = 0x303
	StatusControllerPath  Status = 0x360
	StatusHostPath        Status = 0x370
	StatusHostPathAborted Status = 0x371 // aborted by the host
)

// Code is type and code alone.
func (s Status) Code() Status { return s & 0x7ff }

// Type is the type of the code: 0 generic, 1 of the command, 2 media, 3 path.
func (s Status) Type() uint8 { return uint8(s>>8) & 7 }

// RetryDelay is which of Identify Controller's three CRDT says how long to wait
// before a retry; 0: none.
func (s Status) RetryDelay() int { return int(s>>11) & 3 }

// OK says whether the command has succeeded.
func (s Status) OK() bool { return s.Code() == StatusSuccess }

// Err is nil for success, else the status itself.
func (s Status) Err() error {
	if s.OK() {
		return nil
	}
	return s
}

// Is lets errors.Is compare type and code, whatever the other bits say.
func (s Status) Is(target error) bool {
	t, ok := target.(Status)
	return ok && t.Code() == s.Code()
}

func (s Status) Error() string { return "nvme: " + s.String() }

func (s Status) String() string {
	name, ok := statusNames[s.Code()]
	if !ok {
		name = fmt.Sprintf("status type %d code %#02x", s.Type(), uint8(s))
	}
	if s&DNR != 0 {
		name += ", do not retry"
	}
	return name
}

var statusNames = map[Status]string{
	StatusSuccess:            "success",
	StatusInvalidOpcode:      "invalid command opcode",
	StatusInvalidField:       "invalid field in command",
	StatusIDConflict:         "command ID conflict",
	StatusDataTransfer:       "data transfer error",
	StatusPowerLoss:          "aborted due to power loss",
	StatusInternal:           "internal error",
	StatusAborted:            "abort requested",
	StatusAbortedQueue:       "aborted due to queue deletion",
	StatusFusedFailed:        "aborted because the other fused command failed",
	StatusFusedMissing:       "aborted because the other fused command is missing",
	StatusInvalidNamespace:   "invalid namespace or format",
	StatusSequence:           "command sequence error",
	StatusSGLSegment:         "invalid SGL segment descriptor",
	StatusSGLCount:           "invalid number of SGL descriptors",
	StatusDataSGLLength:      "data SGL length invalid",
	StatusMetaSGLLength:      "metadata SGL length invalid",
	StatusSGLType:            "SGL descriptor type invalid",
	StatusAtomicWrite:        "atomic write unit exceeded",
	StatusDenied:             "operation denied",
	StatusSGLOffset:          "SGL offset invalid",
	StatusHostIDFormat:       "host identifier in an inconsistent format",
	StatusKeepAliveExpired:   "keep alive timer expired",
	StatusKeepAliveInvalid:   "keep alive timeout invalid",
	StatusPreempted:          "aborted due to preempt and abort",
	StatusSGLGranularity:     "SGL data block granularity invalid",
	StatusWriteProtected:     "namespace is write protected",
	StatusInterrupted:        "command interrupted",
	StatusTransientTransport: "transient transport error",
	StatusMediaNotReady:      "media not ready",
	StatusLBARange:           "LBA out of range",
	StatusCapacity:           "capacity exceeded",
	StatusNamespaceNotReady:  "namespace not ready",
	StatusReservation:        "reservation conflict",

	StatusInvalidQueueID:      "invalid queue identifier",
	StatusQueueSize:           "invalid queue size",
	StatusAbortLimit:          "abort command limit exceeded",
	StatusAsyncLimit:          "asynchronous event request limit exceeded",
	StatusInvalidLogPage:      "invalid log page",
	StatusFeatureNotSaveable:  "feature identifier not saveable",
	StatusFeatureNotChangable: "feature not changeable",
	StatusFeatureNotNamespace: "feature not namespace specific",
	StatusCommandSet:          "I/O command set not supported",
	StatusConnectFormat:       "connect incompatible format, or conflicting attributes",
	StatusConnectBusy:         "connect: controller busy",
	StatusConnectParameters:   "connect invalid parameters",
	StatusConnectRestart:      "connect restart discovery, or command size limit exceeded",
	StatusConnectHost:         "connect invalid host",
	StatusConnectQueueType:    "connect invalid queue type",
	StatusDiscoverRestart:     "discover restart",
	StatusAuthRequired:        "authentication required",

	StatusWriteFault:      "write fault",
	StatusReadError:       "unrecovered read error",
	StatusCompareFailed:   "compare failure",
	StatusAccessDenied:    "access denied",
	StatusUnwritten:       "deallocated or unwritten logical block",
	StatusPathInternal:    "internal path error",
	StatusANALoss:         "asymmetric access persistent loss",
	StatusANAInaccessible: "asymmetric access inaccessible",
	StatusANATransition:   "asymmetric access transition",
	StatusControllerPath:  "controller pathing error",
	StatusHostPath:        "host pathing error",
	StatusHostPathAborted: "command aborted by host",
}
