// Package security attacks a real lockifyd, and looks at what others notice.
//
//	             Unix socket
//	victims  ---------------------+     4, each a lock and its unlock every 4 ms, measured
//	             TLS              |
//	witness  ------------------ lockifyd   holds a lock all the time, by hand-made frames
//	newcomer ---- TLS ------------+     connects, locks, and goes
//	             TLS, or less     |
//	mallory  ---------------------+     client of another lockspace, with a certificate
//	neighbour                           has no connection, and uses a processor
//
//	bystanders ------------- another lockifyd   as the victims; nobody attacks it
//
// Victims, bystanders, mallory, neighbour and both lockifyd are processes of their own. All run on
// one machine, and what is wanted is what lockifyd does to victims, not what a lack of processors
// does. That is what the bystanders show.
// So mallory's threads are of the class SCHED_IDLE: they have what all others leave, and
// give it back at once. What lockifyd spends on him counts in full. Three rows of a run are
// no attacks: nothing; mallory only computes; the neighbour does, with as much right to
// the processors as everybody.
//
// For each attack: the victims' latencies, in slices without it and with it in turn, since a
// machine is not the same from one second to the next; what lockifyd and mallory use of the
// processors; memory of the daemon before and after. What must hold is checked by the attack
// itself; and behind each, the witness must still have its lock, and a newcomer gets in.
package security
