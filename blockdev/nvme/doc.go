// Package nvme is NVMe/TCP as bytes: what a host (initiator) and a controller
// (target) send each other, encoded, decoded and judged. It does no I/O, has no
// goroutine, no clock and no state; packages host and target build on it.
//
//	host                                                     controller
//	----                                                     ----------
//	ICReq.Append                  -> ICReq ->                Receiver.ParseHeader, ICReq.Decode
//	ICResp.Decode                 <- ICResp <-               ICResp.Append
//	Command.SetConnect, ...                                  Command.Connect, ...
//	Format.AppendCommand, data    -> CapsuleCmd ->           Command.Decode, CheckSGL
//	R2T.Decode                    <- R2T <-                  Format.AppendR2T
//	Format.AppendH2C, data        -> H2CData ->              Data.Decode
//	Data.Decode                   <- C2HData <-              Format.AppendC2H, data
//	Completion.Decode             <- CapsuleResp <-          Format.AppendCompletion
//	TermReq                       <- C2HTermReq, H2CTermReq -> TermReq
//
//	a PDU:  | common header 8 | rest of HLEN | header digest 4 | padding | data | data digest 4 |
//	        |<---------------- PDO, if there is data ------------------->|
//	        |<------------------------------ PLEN ------------------------------------------->|
//
// # Contract
//
//   - Append methods append; Decode methods read the start of src. Decode sets
//     all of its receiver, but only if it returns no error.
//   - What carries I/O (PDUs, commands, completions, ranges, digests) allocates
//     nothing, unless it is an error. Lists (RangeList, NSIDList, ...) are in place:
//     they live as long as the bytes that they were read from, as do
//     TermReq.PDU and the values of authentication messages. Texts of Identify,
//     discovery and Connect are copied into strings.
//   - Received bytes never cause a panic. Reserved fields are sent as zero and
//     not looked at, as the specifications say, so that newer peers are understood.
//   - An error that ends the connection is a *FatalError, with what the TermReq
//     says. What only makes a command fail is a Status. Other errors wrap
//     ErrTruncated, ErrField, ErrTooLarge or ErrNQN.
//   - Fields have the specification's units, but where a type says otherwise:
//     counts are never "minus one" unless their comment says so.
//   - Values may be used by several goroutines if none of them writes.
//
// A receiver reads HeaderSize bytes, has Receiver.ParseHeader judge them, reads
// up to Header.HeaderLen, checks the digest (CheckHeaderDigest), decodes, skips
// Header.Padding bytes, and takes Header.DataLen bytes of data, which it may read
// straight to where they belong; Digest goes along, and DataDigestOK compares.
//
// # Specifications
//
// Comments name sections of the NVM Express Base Specification (2.0 and later),
// the NVM Command Set Specification and the TCP Transport Specification. All
// numbers on the wire are little-endian.
package nvme
