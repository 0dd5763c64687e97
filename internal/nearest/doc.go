// Package nearest finds what somebody may have meant who has mistyped a name.
package nearest
