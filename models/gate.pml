/* gate.pml - which messages are releases. N creates X under parent P, then lets P go in one of five ways; PATH 1: P mastered at Q, UNLOCK. 2: N masters P and forgets it, REMOVE to directory Q,
   L becomes P's master. 3: N masters P and is its directory; it forgets P locally; its LOOKUP reply makes L master.
   4: CONVERT with CONVDEADLK: Q demotes N's lock to NL and grants L. 5: Q (P's master) dies while UNLOCK(P) is held; N reports its locks
   to the new master, or leaves P out.

   Rules (1: on):
   GATE     that message leaves when the claim is confirmed; 0: at once

   Checked: N and L do not both hold X. */
#ifndef GATE
#define GATE 1
#endif
#ifndef PATH
#define PATH 1
#endif
mtype={NOTIFY,CONFIRM,LOOKUP,YOU,ISN,MSG,PGRANT,PLOOK};
chan n2d=[2] of {mtype}; chan d2n=[2] of {mtype}; chan l2d=[1] of {mtype}; chan d2l=[1] of {mtype};
chan n2q=[2] of {mtype}; chan l2q=[1] of {mtype}; chan q2l=[1] of {mtype};
bool nh=false, lh=false, confirmed=false; byte owner=0;
active proctype N() { bool sent=false;
  nh=true; n2d!NOTIFY;
end: do
  :: PATH!=3 && !sent && (!GATE||confirmed) -> n2q!MSG; sent=true
  :: PATH==3 && (!GATE||confirmed) && nempty(l2q) -> l2q?PLOOK; q2l!PGRANT; sent=true   /* LOOKUP reply by N as directory of P */
  :: d2n?CONFIRM -> confirmed=true
  od }
active proctype Q() {  /* P's master / P's directory / P's new master after recovery */
end: if :: PATH!=3 -> n2q?MSG; l2q?PLOOK; q2l!PGRANT :: else fi }
active proctype Dx() {
end: do
  :: n2d?NOTIFY -> if :: owner==0 -> owner=1; d2n!CONFIRM :: else -> assert(false) fi
  :: l2d?LOOKUP -> if :: owner==0 -> owner=2; d2l!YOU :: else -> d2l!ISN fi
  od }
active proctype L() { l2q!PLOOK; q2l?PGRANT; l2d!LOOKUP;
  if :: d2l?YOU -> lh=true; assert(!(nh&&lh)) :: d2l?ISN -> skip fi }
