/* views.pml - a chain of views: one name X, whose directory is at node 0 in view 0, DIR1 in view 1, DIR2 in view 2
   (three directory processes and two other nodes; everybody installs each view at its own time, in order). So
   DIR1,DIR2 = 1,2: moves twice; 1,0: moves and comes back; 1,1: moves and stays; 0,1: stays and moves.
   CRASH=1: a directory that is replaced is dead (not with 1,0); 0: it lives on.
   A and B look X up at any time; or with CLAIM=1 A claims it, and B looks it up when A has let go what names it.
   A master may remove X when it does not use it.
   IS stands for FWD and the master's answer: the asker then sees whether that life is mastered still, if both are in
   the same view: FWD of an older view is dropped, and what comes from a newer one waits.

   Rules (1: on):
   HOLD     a directory holds LOOKUP and NOTIFY for a name it did not own continuously since its last completed
            barrier, until DONE of its present view has come from all
   CONT     owning the name in the view before is not enough for that: its barrier must have been completed
   DONEVIEW a DONE counts for its own view only
   FORGETACK who registers again forgets the older acknowledgement, so that the name's coming back counts as a move
   DROPMOVED a directory forgets an entry when the name moves away
   DROPOLD  answers of a directory of an older view are ignored
   RESEND   unanswered LOOKUP and NOTIFY are sent again at install
   REMALWAYS REMOVE is processed whatever its epoch
   UNSENT   a REMOVE that has not left is taken back at install (the name registers); 0: it leaves for the old directory
   PIN      a master whose registration is not acknowledged does not remove the name
   FENCE    A lets X's name go when its claim is confirmed

   Scope:
   ACKOPEN  a registration is acknowledged when the directory's barrier is completed; 0: at once (no difference)
   HOLDNEW  a direct message of a newer view, too, waits until that is installed; 0: not (no difference, but for PIN=0)

   Checked: one master at a time; at rest everybody has an answer, the directory of view 2 knows the master, if there
   is one, and else nothing. */
#ifndef DIR1
#define DIR1 1
#endif
#ifndef DIR2
#define DIR2 2
#endif
#ifndef CRASH
#define CRASH 0
#endif
#ifndef CLAIM
#define CLAIM 0
#endif
#ifndef HOLD
#define HOLD 1
#endif
#ifndef CONT
#define CONT 1
#endif
#ifndef DONEVIEW
#define DONEVIEW 1
#endif
#ifndef FORGETACK
#define FORGETACK 1
#endif
#ifndef DROPMOVED
#define DROPMOVED 1
#endif
#ifndef DROPOLD
#define DROPOLD 1
#endif
#ifndef RESEND
#define RESEND 1
#endif
#ifndef REMALWAYS
#define REMALWAYS 1
#endif
#ifndef UNSENT
#define UNSENT 1
#endif
#ifndef PIN
#define PIN 1
#endif
#ifndef ACKOPEN
#define ACKOPEN 1
#endif
#ifndef HOLDNEW
#define HOLDNEW 1
#endif
#ifndef FENCE
#define FENCE 1
#endif
#define NONE 7
mtype = { LOOKUP, NOTIFY, REMOVE, REGM, REGC, DONE, YOU, IS, CONFIRM, REJECT };
mtype = { unused, looking, asking, claimed, master, removing };
chan td[6] = [6] of { mtype, byte, byte, byte };  /* node i -> directory d: at d*2+i; epoch, life, life that is gone */
chan fd[6] = [6] of { mtype, byte, byte, byte };  /* directory d -> node i: epoch, node, life */
byte view = 0, dead = 0, seq = 2;
byte masters = 0;                                 /* set of nodes that master X */
mtype st[2] = unused;
byte life[2];                                     /* mastered, or proposed */
byte ep[2], dep[3];                               /* views installed by nodes and directories */
byte entm[3] = NONE, entl[3];
bool named = false;                               /* B may know of X */
#define BIT(i) (1 << (i))
#define DIR(e) ((e) == 0 -> 0 : ((e) == 1 -> DIR1 : DIR2))
#define ONE(s) assert((s) != 3)
#define BEGINS masters = masters | BIT(i); ONE(masters)
#define ENDS   masters = masters & (3 - BIT(i))
#define HERE   (st[i] == claimed || st[i] == master || st[i] == removing)

proctype Node(byte i) {
  bool used = false;                     /* has asked for X, or claimed it */
  byte ack = NONE, m = NONE, l = 0, e = 0, old = 0, tl = 0;
end: do
  :: atomic { !used && i == 0 && CLAIM -> used = true; st[i] = claimed; life[i] = seq; seq++; BEGINS; td[DIR(ep[i])*2+i]!NOTIFY,ep[i],life[i],0 }
  :: atomic { !used && (!CLAIM || (i == 1 && named)) ->
       used = true; st[i] = looking; life[i] = seq; seq++; td[DIR(ep[i])*2+i]!LOOKUP,ep[i],life[i],0 }
  :: atomic { CLAIM && i == 0 && used && !named && (!FENCE || st[i] != claimed) -> named = true }
  /* the master does not use X any more; REMOVE is made, perhaps leaves later, or is taken back */
  :: atomic { st[i] == master && (i != 0 || !CLAIM || named) && (!PIN || ack == DIR(ep[i])) -> st[i] = removing; old = DIR(ep[i]) }
  :: atomic { st[i] == removing -> ENDS; td[old*2+i]!REMOVE,ep[i],life[i],0; st[i] = unused; life[i] = 0; ack = NONE; old = 0 }
  /* install */
  :: atomic { ep[i] < view -> ep[i]++;
       if :: st[i] == removing && UNSENT -> st[i] = master; old = 0 :: else fi;
       if :: HERE && ack != DIR(ep[i]) ->
             if :: st[i] == claimed -> td[DIR(ep[i])*2+i]!REGC,ep[i],life[i],0 :: else -> td[DIR(ep[i])*2+i]!REGM,ep[i],life[i],0 fi;
             if :: FORGETACK -> ack = NONE :: else fi
          :: else fi;
       td[DIR(ep[i])*2+i]!DONE,ep[i],0,0;
       if :: !DONEVIEW && ep[i] == 1 && DIR1 != DIR2 -> td[DIR2*2+i]!DONE,1,0,0 :: else fi; /* it goes to all; else without effect */
       if :: st[i] == asking -> st[i] = looking; old = 0; tl = 0 :: else fi;
       if :: st[i] == looking && RESEND -> td[DIR(ep[i])*2+i]!LOOKUP,ep[i],life[i],0 :: else fi }
#define RX(d) \
  :: atomic { fd[d*2+i]?YOU,e,m,l -> assert(e <= ep[i]); \
       if :: (e == ep[i] || !DROPOLD) && st[i] == looking && life[i] == l -> st[i] = master; ack = d; BEGINS :: else fi; \
       e = 0; m = NONE; l = 0 } \
  :: atomic { fd[d*2+i]?IS,e,m,l -> assert(e <= ep[i]); \
       if :: (e == ep[i] || !DROPOLD) && st[i] == looking -> st[i] = asking; old = m; tl = l :: else fi; e = 0; m = NONE; l = 0 } \
  :: atomic { fd[d*2+i]?CONFIRM,e,m,l -> assert(e <= ep[i]); \
       if :: (e == ep[i] || !DROPOLD) && HERE && life[i] == l -> ack = d; if :: st[i] == claimed -> st[i] = master :: else fi :: else fi; \
       e = 0; m = NONE; l = 0 } \
  :: atomic { fd[d*2+i]?REJECT,e,m,l -> assert(e < ep[i] && DROPOLD); e = 0; m = NONE; l = 0 }
  RX(0) RX(1) RX(2)
  /* the master on record answers */
  :: atomic { st[i] == asking && ep[old] == ep[i] && (st[old] == claimed || st[old] == master || st[old] == removing) && life[old] == tl ->
       if :: st[old] == removing -> st[old] = master :: else fi; st[i] = unused; life[i] = 0; old = 0; tl = 0 }
  :: atomic { st[i] == asking && (ep[old] == ep[i] || !HOLDNEW) && life[old] != tl -> st[i] = looking; td[DIR(ep[i])*2+i]!LOOKUP,ep[i],life[i],tl; old = 0; tl = 0 }
  od }

proctype Dir(byte d) {
  bool open = false;
  byte done = 0, e = 0, l = 0, g = 0;
  bool conf = false;                     /* the entry is a confirmed master's */
  if :: d == 0 -> open = true :: else fi;
end: do
  :: atomic { dep[d] < view && !(dead & BIT(d)) -> dep[d]++; done = 0;
       if :: DIR(dep[d]) == d && DIR(dep[d]-1) == d -> if :: !CONT -> open = true :: else fi
          :: DIR(dep[d]) == d && DIR(dep[d]-1) != d -> open = !HOLD
          :: DIR(dep[d]) != d -> open = false; if :: DROPMOVED -> entm[d] = NONE; entl[d] = 0; conf = false :: else fi
       fi }
#define MINE (e == dep[d] && DIR(dep[d]) == d)
#define LIVE !(dead & BIT(d))
/* a message of this type is next, of no view that is not installed yet */
#define NEXT(t, i) (LIVE && td[d*2+i]?[t,_,_,_] && !td[d*2+i]?[t,eval(dep[d]+1),_,_] && !td[d*2+i]?[t,eval(dep[d]+2),_,_])
#define HELD(t, i) (!open && td[d*2+i]?[t,eval(dep[d]),_,_])
#define TX(i) \
  :: atomic { NEXT(LOOKUP, i) && !HELD(LOOKUP, i) -> td[d*2+i]?LOOKUP,e,l,g; \
       if :: MINE -> if :: g != 0 && entl[d] == g -> entm[d] = NONE; entl[d] = 0 :: else fi; \
             if :: entm[d] == NONE || entm[d] == i -> entm[d] = i; entl[d] = l; conf = true; fd[d*2+i]!YOU,e,i,l \
                :: else -> fd[d*2+i]!IS,e,entm[d],entl[d] fi \
          :: else fi; e = 0; l = 0; g = 0 } \
  :: atomic { NEXT(NOTIFY, i) && !HELD(NOTIFY, i) -> td[d*2+i]?NOTIFY,e,l,g; \
       if :: MINE -> if :: entm[d] == NONE || entm[d] == i -> entm[d] = i; entl[d] = l; conf = true; fd[d*2+i]!CONFIRM,e,i,l \
                :: else -> fd[d*2+i]!REJECT,e,entm[d],entl[d] fi \
          :: else fi; e = 0; l = 0; g = 0 } \
  :: atomic { NEXT(REGM, i) -> td[d*2+i]?REGM,e,l,g; \
       if :: MINE -> if :: entm[d] == NONE || entm[d] == i || !conf -> \
                           if :: entm[d] != NONE && entm[d] != i -> fd[d*2+entm[d]]!REJECT,e,i,l :: else fi; \
                           entm[d] = i; entl[d] = l; conf = true; if :: open || !ACKOPEN -> fd[d*2+i]!CONFIRM,e,i,l :: else fi \
                        :: else -> assert(false) /* two confirmed masters */ fi \
          :: else fi; e = 0; l = 0; g = 0 } \
  :: atomic { NEXT(REGC, i) -> td[d*2+i]?REGC,e,l,g; \
       if :: MINE -> if :: entm[d] == NONE || entm[d] == i -> entm[d] = i; entl[d] = l; \
                           if :: open -> conf = true; fd[d*2+i]!CONFIRM,e,i,l :: else -> conf = false fi \
                        :: else -> fd[d*2+i]!REJECT,e,entm[d],entl[d] fi \
          :: else fi; e = 0; l = 0; g = 0 } \
  :: atomic { NEXT(REMOVE, i) -> td[d*2+i]?REMOVE,e,l,g; \
       if :: (REMALWAYS || e == dep[d]) && entm[d] == i && entl[d] == l -> entm[d] = NONE; entl[d] = 0; conf = false :: else fi; e = 0; l = 0; g = 0 } \
  :: atomic { NEXT(DONE, i) -> td[d*2+i]?DONE,e,l,g; \
       if :: e == dep[d] || !DONEVIEW -> done = done | BIT(i); \
             if :: done == 3 && DIR(dep[d]) == d -> open = true; \
                   if :: entm[d] != NONE -> conf = true; fd[d*2+entm[d]]!CONFIRM,dep[d],entm[d],entl[d] :: else fi \
                :: else fi \
          :: else fi; e = 0; l = 0; g = 0 }
  TX(0) TX(1)
  od }

proctype Views() {
  atomic { view = 1; if :: CRASH && DIR1 != 0 -> dead = dead | 1 :: else fi };
  atomic { view = 2; if :: CRASH && DIR2 != DIR1 -> dead = dead | BIT(DIR1) :: else fi }
}

#define AGREES(i) ((st[i] != claimed && st[i] != looking && st[i] != asking) && (st[i] != master || (entm[DIR2] == i && entl[DIR2] == life[i])))
init {
  atomic { run Dir(0); run Dir(1); run Dir(2); run Node(0); run Node(1); run Views() };
  end: timeout -> assert(AGREES(0) && AGREES(1) && (entm[DIR2] == NONE || masters == BIT(entm[DIR2])))
}
