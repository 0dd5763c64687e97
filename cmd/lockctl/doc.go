// Lockctl looks at a lockify node, and holds locks for commands.
//
//	status, lockspaces, locks, ranges --- HTTP ---> admin address of lockifyd
//	lock, purge, delegate ---------- client API ---> client address of lockifyd
//	   \--- runs COMMAND while the lock is held
//
// Each subcommand prints text for people, or with --json documents for
// programs: those of package admin, and for lock one event a line.
package main
