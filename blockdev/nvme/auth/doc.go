// Package auth is DH-HMAC-CHAP, the in-band authentication of NVMe: two state
// machines, which take messages and give messages. Packages host and target carry them
// in Authentication Send and Authentication Receive, on each queue after its Connect.
//
//	Host                                                     Controller
//	----                                                     ----------
//	Next      -> AUTH_Negotiate: hashes, groups ->           Received
//	Received  <- Challenge: hash, group, C1, g^x <-          Reply
//	Next      -> Reply: R1 = HMAC(Kh, Ca1 ...), C2, g^y ->   Received: is R1 right?
//	Received  <- Success1: R2 = HMAC(Kc, Ca2 ...) <-         Reply
//	Next      -> Success2, if it has asked with C2 ->        Received: Authenticated
//
//	Kh, Kc = Secret of the host, of the controller, transformed by its owner's NQN
//	Ca     = C, or with a Diffie-Hellman group HMAC(H(g^xy), C)
//
// The host always shows that it knows its secret (one-way). If it has been given the
// controller's secret as well, it demands the same of the controller (two-way). Whoever
// is not content says so in AUTH_Failure1 or AUTH_Failure2, and the connection ends.
//
// # Contract
//
//   - A Host or Controller is for one goroutine at a time. Received computes powers in the
//     group: a millisecond each in the smallest, which is preferred, some 50 in the
//     largest. A peer can't have an end compute more than two in a transaction, and a host
//     that has failed gets no second transaction on its connection.
//   - Messages may be of any content; what does not fit ends the authentication. They
//     are not kept. Memory is bounded: what is given out is less than
//     nvme.MaxAuthMessage.
//   - Responses are compared, and powers computed, in a time that does not depend on
//     secrets: crypto/hmac, and filippo.io/bigmod, which is the arithmetic of Go's
//     crypto/rsa. The standard library has no Diffie-Hellman over finite fields, nor
//     has any other live library in Go that was found.
//   - Secrets are never in errors, nor in what fmt prints of a Secret.
//   - There is no clock and no I/O, but for Rand, from which challenges and keys come.
//
// # Specifications
//
// NVM Express Base Specification 2.0, "NVMe In-band Authentication" and "DH-HMAC-CHAP
// Protocol"; RFC 7919 for the groups. A secure channel (TLS concatenation) is neither
// offered nor taken.
package auth
