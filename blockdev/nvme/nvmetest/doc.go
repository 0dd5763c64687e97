// Package nvmetest lets somebody else judge what lockify says over NVMe/TCP:
// tshark, whose dissector knows the protocol and checks the digests.
//
//	a test -- Send(role, bytes) --> Capture -- pcap file --> tshark -- fields --> Check
//
// A test hands over what each end of a connection has sent, and asks for the
// fields of the dissector that it wants to compare. Check fails the test for a PDU
// that is malformed, or not seen, and for a digest that is wrong or was not
// checked. Where there is no tshark the test is skipped, and says so; in CI it is
// there.
package nvmetest
