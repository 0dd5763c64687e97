// Package member is what a node whose membership is agreed needs beside itself: the
// data directory, the part in the agreement (cluster/agent), and the mail of both.
//
//	lockifyd, lockify.StartNode
//	   | OpenData, Open
//	   v
//	Part = agent.Agent + engine.Mailer        Data: lock, instance, cluster.db
//	   | Serve: Join, Receive                   | NextInstance
//	   v                                        v
//	node.Config -----------> node.Start: one start of the node, then the next
package member
