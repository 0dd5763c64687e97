// Lockifyd is a node of a lockify cluster: it grants locks to its clients
// together with the other nodes.
//
//	file ---+
//	        +--> settings --> config --> data directory: instance
//	flags --+    (all checked)                |
//	                                          v
//	                        node (links, clients) and admin address
//	                                          |
//	                          "ready ..." on the standard output
//	                                          |
//	                       SIGTERM, SIGINT: clients are told, exit 0
//
// The configuration is one TOML file and flags; a flag wins over the file.
// Both know the same settings (settings.go), and one function checks them.
// Anything wrong, in the file or among the flags, is reported with its place,
// all of it at once, and nothing is started: exit status 2.
//
// Exit status: 0 after a clean shutdown; 1 if the node could not start or did
// not end in order; 2 for a wrong configuration; 128 + signal if a second
// signal cut the shutdown short.
package main
