// Package durable makes directories, and what is in them, last when the power fails: a file that is
// synced is lost all the same if its name is not.
package durable
