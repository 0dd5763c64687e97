// Package cluster says who is a member.
//
//	Provider --- view (epoch, members) ---> node ---> lockspace
//
// Today there is one provider, Static: a fixed list, one view for ever. It
// cannot tell a dead node from a slow one, so with it a node that has gone
// must come back as the whole cluster restarts.
package cluster
