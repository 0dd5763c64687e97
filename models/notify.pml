/* notify.pml - why there is a fence: a creator N, the directory D of the new name, a finder L that learns the name from
   what N lets go of its parent.

   Rules (1: on):
   FENCE    the release of the parent's lock waits until the claim is confirmed

   Checked: N and L do not both hold the name. */
#ifndef FENCE
#define FENCE 1
#endif
mtype = { NOTIFY, CONFIRM, CONFLICT, LOOKUP, YOU_ARE_MASTER, MASTER_IS_N, RELEASE };
chan n2d = [2] of { mtype };   /* N -> directory (may be lost once, retransmitted) */
chan d2n = [2] of { mtype };
chan l2d = [1] of { mtype };
chan d2l = [1] of { mtype };
chan n2l = [1] of { mtype };   /* release of the parent's lock reaches L */
bool n_holds = false, l_holds = false; 
byte owner = 0;                /* directory entry: 0 none 1 N 2 L */
bool lost = false; bool confirmed=false;

active proctype Creator() {
  /* holds parent EX; creates the child: grants itself at once */
  n_holds = true;
  n2d!NOTIFY;
  bool released=false; 
  do
  :: !released && (!FENCE || confirmed) -> n2l!RELEASE; released=true
  :: d2n?CONFIRM -> confirmed = true
  :: d2n?CONFLICT -> confirmed = true /* too late: it has been using the lock */
  :: !confirmed && len(n2d)==0 && len(d2n)==0 && lost -> n2d!NOTIFY   /* retransmission */
  :: released && confirmed -> break
  od
}
active proctype Directory() {
end:  do
  :: n2d?NOTIFY ->
     if
     :: !lost -> lost = true            /* the message or its answer is lost */
     :: owner==0 || owner==1 -> owner=1; d2n!CONFIRM
     :: owner==2 -> d2n!CONFLICT
     fi
  :: l2d?LOOKUP ->
     if
     :: owner==0 -> owner=2; d2l!YOU_ARE_MASTER
     :: owner==1 -> d2l!MASTER_IS_N
     :: owner==2 -> d2l!YOU_ARE_MASTER
     fi
  od
}
active proctype Finder() {
  n2l?RELEASE;           /* may now read the parent and learn the child's name */
  l2d!LOOKUP;
  if
  :: d2l?YOU_ARE_MASTER -> l_holds = true; assert(!(n_holds && l_holds))
  :: d2l?MASTER_IS_N -> skip  /* asks N, who queues it behind its own lock */
  fi
}
