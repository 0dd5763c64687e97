/* fifo.pml - order of messages to one node about one name, held ones included. P is mastered at M. BASTT=0: N holds EX
   under an open claim, converts EX to NL (complete locally, the message held by the fence), then NL to EX. BASTT=1: M's
   GRANT to L is held by M's fence, M's BAST to L (for the waiter R) is not; L drops a BAST for a lock it has not got.

   Rules (1: on):
   FIFO     what is sent later stands behind what is held; 0: it overtakes

   Checked: no two EX; the waiter is granted. */
#ifndef FIFO
#define FIFO 1
#endif
#ifndef BASTT
#define BASTT 0
#endif
mtype={DOWN,UP,UPOK,GRANT,BAST,REL};
chan n2m=[4] of {mtype}; chan m2n=[4] of {mtype}; chan m2l=[4] of {mtype}; chan l2m=[4] of {mtype};
bool confirmed=false, nex=false, lex=false, heldDown=false, heldUp=false, rdone=false;
#if BASTT==0
active proctype Fence() { confirmed=true }
active proctype N() { nex=true; nex=false; heldDown=true; /* down-convert completed locally */
  if :: FIFO -> heldUp=true :: else -> n2m!UP fi;
end: do
  :: atomic{confirmed && heldDown -> n2m!DOWN; heldDown=false; if :: heldUp -> n2m!UP; heldUp=false :: else fi}
  :: m2n?UPOK -> nex=true; assert(!lex); break
  od }
active proctype M() { bool gn=true, gl=false, wl=true, wn=false; /* gn: N granted EX; L waits for EX */
end: do
  :: n2m?DOWN -> gn=false
  :: n2m?UP -> if :: gn -> m2n!UPOK :: else -> wn=true fi
  :: !gn && !gl && wl -> gl=true; wl=false; m2l!GRANT
  :: !gn && !gl && wn -> gn=true; wn=false; m2n!UPOK
  :: l2m?REL -> gl=false
  od }
active proctype L() { end: m2l?GRANT; lex=true; assert(!nex); lex=false; l2m!REL }
#else
active proctype Fence() { confirmed=true }
active proctype M() { bool held=true; bool b=false; /* GRANT to L made, held */
  do
  :: confirmed && held -> m2l!GRANT; held=false; if :: FIFO -> m2l!BAST :: else fi
  :: !FIFO && !b -> m2l!BAST; b=true
  :: l2m?REL -> rdone=true; break
  od }
active proctype L() { bool g=false;
end: do
  :: m2l?GRANT -> g=true
  :: m2l?BAST -> if :: g -> l2m!REL; g=false :: else -> skip /* not my lock yet: ignored */ fi
  od }
active proctype W() { end: timeout -> assert(rdone) }
#endif
