// Lockifyd is a node of a lockify cluster: it grants locks to its clients
// together with the other nodes.
//
//	file ---------+
//	environment --+--> settings --> config --> data directory: instance
//	flags --------+    (all checked)                |
//	                                          +-----+
//	                                          v
//	                        node (links, clients) and admin address
//	                                          |
//	                          "ready ..." on the standard output
//	                                          |
//	                       SIGTERM, SIGINT: clients are told, exit 0
//
// The configuration is one TOML file, the environment, and flags: a flag wins over the
// environment, that over the file, and the file over the default. All know the same
// settings (settings.go), and one function checks them; tables (tables.go) are in the file
// only. Anything wrong is reported with its place, all of it at once, and nothing is
// started: exit status 78. docs/reference/config.md is made of them (reference_test.go).
//
// Exit status: 0 after a clean shutdown; 1 if the node could not start or did
// not end in order; 2 for a wrong configuration; 128 + signal if a second
// signal cut the shutdown short.
package main
