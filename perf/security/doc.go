// Package security attacks a real lockifyd, and looks at what others notice.
//
//	          Unix socket
//	victim  ------------------+       a lock and its unlock each millisecond, measured
//	          TLS             |
//	witness ----------------- lockifyd   holds a lock all the time, by hand-made frames
//	          TLS, or less    |
//	mallory ------------------+       client of another lockspace, with a certificate
//
// For each attack: the victim's latencies for a while before it, and while it goes on again
// and again; memory of the daemon before and after. What must hold is checked by the attack
// itself; and behind each, the witness must still have its lock, and a newcomer gets in.
package security
