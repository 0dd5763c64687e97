/* life.pml - the lives of one name X: three nodes, one directory node D. LOOKUP forwarded by D, one-way REMOVE,
   NOTIFY, REJECT, ADOPT. Node 0 claims once (CLAIM=1; CLAIM2=1: node 2 does, too); node 1 is at the start the idle old
   master (CLAIM=1), node 2 looks up. Each node uses X up to ROUNDS times.

   Rules (1: on):
   UNIQ     a life is unique and REMOVE matches (master, life); 0: counters of the nodes, REMOVE matches the number only
   NOTYET   an ADOPT that names the life proposed in one's own unanswered LOOKUP is held; 0: answered NOTMASTER
   ADFIFO   an UNLOCK made during an adoption goes behind ADOPT; 0: forgotten locally, nothing sent
   LOCKID   UNLOCK matches by a lock id never used again; 0: by node
   TAKEBACK D takes a held YOU back when a NOTIFY comes, records the claimant, sends on what was meant for the other
   OWNFENCE 0: NOTMASTER takes a fence number of its own
   LATE     a CONFIRM for a life that has ended is answered with its REMOVE (needed with DUPN=1)
   RECORDED a CONFIRM during an adoption is remembered, and the life's REMOVE sent when the adoption ends (with DUPN=1)
   EARLY    a request or ADOPT that names one's own life during the adoption is kept until that ends; 0: served (with DUPN=1)

   Scope:
   GONE     a retry after NOTMASTER names the dead life; 0 is safe, also without NOTYET, but asks again and again
   GATEYOU  YOU leaves D some time later, with what stands behind it (D's fence); 0: at once
   GATEREL  GRANT and UNLOCK leave a node some time later, with what stands behind them (the node's fence); 0: at once.
            REMOVE needs no such: while it is held the master serves, which is as if it had not been made yet.
   CIRCLE   what a fence holds goes only when no claim of X is open: the worst case of other claims that depend on it
   DUPN     a claimant may send its NOTIFY twice (the watchdog)

   Checked: no two non-provisional EX holders; at rest: no entry, no holder, no open claim, nobody waits. */
#ifndef UNIQ
#define UNIQ 1
#endif
#ifndef NOTYET
#define NOTYET 1
#endif
#ifndef ADFIFO
#define ADFIFO 1
#endif
#ifndef LOCKID
#define LOCKID 1
#endif
#ifndef TAKEBACK
#define TAKEBACK 1
#endif
#ifndef OWNFENCE
#define OWNFENCE 1
#endif
#ifndef LATE
#define LATE 1
#endif
#ifndef RECORDED
#define RECORDED 1
#endif
#ifndef EARLY
#define EARLY 1
#endif
#ifndef GONE
#define GONE 1
#endif
#ifndef CLAIM
#define CLAIM 1
#endif
#ifndef CLAIM2
#define CLAIM2 0
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef GATEYOU
#define GATEYOU 0
#endif
#ifndef GATEREL
#define GATEREL 0
#endif
#ifndef CIRCLE
#define CIRCLE 0
#endif
#ifndef DUPN
#define DUPN 0
#endif
#define NN 3
#define NONE 7
mtype = { LOOKUP, REMOVE, NOTIFY, YOU, FWD, CONFIRM, REJECT, GRANT, NOTM, UNLOCK, ADOPT, ADOPTED, CONFL };
chan td[NN] = [5] of { mtype, byte, byte, byte };  /* node -> D: life, gone master, gone life */
chan fd[NN] = [6] of { mtype, byte, byte };        /* D -> node: node, life */
chan hd[NN] = [4] of { mtype, byte, byte };        /* held at D for that node */
chan nn[9]  = [6] of { mtype, byte };              /* node i -> node j: at i*3+j; life, with a lock: + 32 * lock id */
chan hn[9]  = [4] of { mtype, byte };              /* held at i for j */
byte ent_m = NONE, ent_l = 0;                      /* D's entry */
byte held = 0, busym = 0, claims = 0;              /* sets of nodes; number of open claims */
byte seq = 2;                                      /* lives given out */
byte lid[NN];                                      /* lock id of a node's present lock */

#define BIT(i)  (1 << (i))
#define SETH    atomic { assert((held & (7 - BIT(i))) == 0); held = held | BIT(i) }
#define CLRH    held = held & (7 - BIT(i))
#define OPEN    (!CIRCLE || claims == 0)
/* FIFO for each (peer, name): what is sent later stands behind what is held */
#define DSEND(t, m, x, l) if :: nempty(hd[t]) -> hd[t]!m,x,l :: empty(hd[t]) -> fd[t]!m,x,l fi
#define NSEND(t, m, l)    if :: nempty(hn[i*3+t]) -> hn[i*3+t]!m,l :: empty(hn[i*3+t]) -> nn[i*3+t]!m,l fi
#define NGATE(t, m, l)    if :: GATEREL -> hn[i*3+t]!m,l :: else -> NSEND(t, m, l) fi
#define NFRESH(t, m, l)   if :: !OWNFENCE -> hn[i*3+t]!m,l :: else -> NSEND(t, m, l) fi
#define GRANTNEXT if :: master && mh == NONE && wq != 0 -> \
   if :: (wq & 1) -> q = 0 :: (wq & 2) -> q = 1 :: (wq & 4) -> q = 2 fi; \
   wq = wq & (7 - BIT(q)); mh = q; mhl = lid[q]; NGATE(q, GRANT, life); q = 0 :: else -> skip fi
/* an ADOPT that names life l is next from node j */
#define FORLIFE(j, l) (nn[j*3+i]?[ADOPT,eval(l)] || nn[j*3+i]?[ADOPT,eval(l+32)] || nn[j*3+i]?[ADOPT,eval(l+64)])
#define IMPLICIT if :: claimed -> claimed = false; claims--; \
   if :: hold && prov -> prov = false; SETH :: else fi :: else fi
/* the other has the locks, or nobody; this node's life ends */
#define ENDADOPT adopting = false; claimed = false; claims--; master = false; mh = NONE; \
   if :: rec && RECORDED -> td[i]!REMOVE,life,NONE,0 :: else fi; rec = false; \
   if :: ew & 1 -> NFRESH(0, NOTM, life) :: else fi; if :: ew & 2 -> NFRESH(1, NOTM, life) :: else fi; \
   if :: ew & 4 -> NFRESH(2, NOTM, life) :: else fi; ew = 0; life = 0

proctype Node(byte i) {
  bool master = false, claimed = false, adopting = false, busy = false, hold = false, prov = false, usedc = false, dup = false, rec = false;
  byte life = 0, cand = 0, mm = NONE, rl = 0, rounds = 0, mh = NONE, wq = 0, q = 0, x = 0, l = 0, j = 0;
  byte ctr = 1, mhl = 0, ew = 0;
  if :: (CLAIM && i == 1) -> master = true; life = 1; ctr = 2 :: else fi;
end: do
  /* a lock on a name mastered here */
  :: atomic { rounds < ROUNDS && !busy && !hold && !claimed && master && mh == NONE ->
       mh = i; hold = true; SETH; rounds++; lid[i] = rounds }
  /* a lock on an unknown name: a claim, or a LOOKUP */
  :: atomic { rounds < ROUNDS && !busy && !hold && !claimed && !master &&
              empty(hn[i*3]) && empty(hn[i*3+1]) && empty(hn[i*3+2]) ->
       rounds++; lid[i] = rounds;
       if :: UNIQ -> cand = seq; seq++ :: else -> cand = ctr; ctr++ fi;
       if :: CLAIM && (i == 0 || (CLAIM2 && i == 2)) && !usedc ->
             usedc = true; life = cand; master = true; claimed = true; claims++; mh = i; hold = true; prov = true;
             td[i]!NOTIFY,life,NONE,0
          :: else -> busy = true; busym = busym | BIT(i); td[i]!LOOKUP,cand,NONE,0
       fi }
  :: atomic { DUPN && claimed && !adopting && !dup -> dup = true; td[i]!NOTIFY,life,NONE,0 }
  :: atomic { fd[i]?YOU,x,l -> master = true; life = l; mh = i; busy = false; busym = busym & (7 - BIT(i)); hold = true; SETH;
       x = 0; l = 0 }
  :: atomic { fd[i]?FWD,x,l ->
       if :: adopting && life == l && EARLY -> ew = ew | BIT(x)
          :: master && life == l && !(adopting && EARLY) -> IMPLICIT;
             if :: mh == NONE -> mh = x; mhl = lid[x]; NGATE(x, GRANT, l) :: else -> wq = wq | BIT(x) fi
          :: else -> NFRESH(x, NOTM, l)
       fi; x = 0; l = 0 }
  :: atomic { fd[i]?CONFIRM,x,l ->
       if :: claimed && !adopting && life == l -> IMPLICIT
          :: adopting && life == l -> rec = true
          :: !(claimed && !adopting && life == l) && !(master && life == l) && LATE -> td[i]!REMOVE,l,NONE,0
          :: else
       fi; x = 0; l = 0 }
  :: atomic { fd[i]?REJECT,x,l ->
       if :: !claimed || adopting -> skip /* of a NOTIFY sent twice */
          :: claimed && !adopting -> adopting = true; mm = x; rl = l; assert(wq == 0);
             if :: hold -> NSEND(x, ADOPT, l + 32*rounds) :: else -> NSEND(x, ADOPT, l) fi
       fi; x = 0; l = 0 }
  :: atomic { nn[0*3+i]?[_,_] && !(NOTYET && busy && FORLIFE(0, cand)) && !(EARLY && adopting && FORLIFE(0, life)) -> j = 0; goto rx }
  :: atomic { nn[1*3+i]?[_,_] && !(NOTYET && busy && FORLIFE(1, cand)) && !(EARLY && adopting && FORLIFE(1, life)) -> j = 1; goto rx }
  :: atomic { nn[2*3+i]?[_,_] && !(NOTYET && busy && FORLIFE(2, cand)) && !(EARLY && adopting && FORLIFE(2, life)) -> j = 2; goto rx }
  /* unlock */
  :: atomic { hold ->
       hold = false;
       if :: adopting -> prov = false; if :: ADFIFO -> NGATE(mm, UNLOCK, rl + 32*rounds) :: else fi; mh = NONE
          :: !adopting && master -> CLRH; prov = false; mh = NONE; GRANTNEXT
          :: !adopting && !master -> CLRH; NGATE(mm, UNLOCK, rl + 32*rounds); mm = NONE; rl = 0
       fi }
  /* the fence opens */
  :: atomic { nempty(hn[i*3]) && OPEN -> do :: hn[i*3]?GRANT,l -> nn[i*3]!GRANT,l :: hn[i*3]?UNLOCK,l -> nn[i*3]!UNLOCK,l
       :: hn[i*3]?NOTM,l -> nn[i*3]!NOTM,l :: hn[i*3]?ADOPT,l -> nn[i*3]!ADOPT,l :: hn[i*3]?ADOPTED,l -> nn[i*3]!ADOPTED,l
       :: hn[i*3]?CONFL,l -> nn[i*3]!CONFL,l :: empty(hn[i*3]) -> break od; l = 0 }
  :: atomic { nempty(hn[i*3+1]) && OPEN -> do :: hn[i*3+1]?GRANT,l -> nn[i*3+1]!GRANT,l :: hn[i*3+1]?UNLOCK,l -> nn[i*3+1]!UNLOCK,l
       :: hn[i*3+1]?NOTM,l -> nn[i*3+1]!NOTM,l :: hn[i*3+1]?ADOPT,l -> nn[i*3+1]!ADOPT,l :: hn[i*3+1]?ADOPTED,l -> nn[i*3+1]!ADOPTED,l
       :: hn[i*3+1]?CONFL,l -> nn[i*3+1]!CONFL,l :: empty(hn[i*3+1]) -> break od; l = 0 }
  :: atomic { nempty(hn[i*3+2]) && OPEN -> do :: hn[i*3+2]?GRANT,l -> nn[i*3+2]!GRANT,l :: hn[i*3+2]?UNLOCK,l -> nn[i*3+2]!UNLOCK,l
       :: hn[i*3+2]?NOTM,l -> nn[i*3+2]!NOTM,l :: hn[i*3+2]?ADOPT,l -> nn[i*3+2]!ADOPT,l :: hn[i*3+2]?ADOPTED,l -> nn[i*3+2]!ADOPTED,l
       :: hn[i*3+2]?CONFL,l -> nn[i*3+2]!CONFL,l :: empty(hn[i*3+2]) -> break od; l = 0 }
  /* idle for long enough */
  :: atomic { master && !claimed && mh == NONE && wq == 0 && !busy -> td[i]!REMOVE,life,NONE,0; master = false; life = 0 }
  od;
rx: atomic {
  if
  :: nn[j*3+i]?GRANT,l -> hold = true; busy = false; busym = busym & (7 - BIT(i)); mm = j; rl = l; SETH
  :: nn[j*3+i]?NOTM,l ->
       if :: adopting -> adopting = false; mm = NONE; rl = 0; rec = false; if :: !hold -> mh = NONE :: else fi;
             td[i]!NOTIFY,life,j,l;
             if :: ew != 0 -> IMPLICIT; wq = ew; ew = 0; GRANTNEXT :: else fi
          :: else -> td[i]!LOOKUP,cand,j,l
       fi
  :: nn[j*3+i]?UNLOCK,l ->
       if :: master && life == (l & 31) && mh == j && (!LOCKID || (l >> 5) == mhl) -> mh = NONE; GRANTNEXT :: else fi
  :: nn[j*3+i]?ADOPT,l ->
       if :: master && life == (l & 31) -> IMPLICIT;
             if :: mh == NONE && l < 32 -> NSEND(j, ADOPTED, l)
                :: mh == NONE && l >= 32 -> mh = j; mhl = l >> 5; NSEND(j, ADOPTED, l & 31)
                :: else -> NSEND(j, CONFL, l & 31)
             fi
          :: else -> NFRESH(j, NOTM, l & 31)
       fi
  :: nn[j*3+i]?ADOPTED,l -> ENDADOPT;
       if :: hold -> prov = false; mm = j; rl = l; SETH :: else -> mm = NONE; rl = 0 fi
  :: nn[j*3+i]?CONFL,l -> ENDADOPT; hold = false; prov = false; mm = NONE; rl = 0
  fi; l = 0; j = 0; goto end }
}

proctype Dir() {
  byte l, gm, gl, o, x;
end: do
#define GONEHINT if :: GONE && gm != NONE && ent_m == gm && ent_l == gl -> ent_m = NONE; ent_l = 0 :: else fi
#define DR(i) \
  :: atomic { td[i]?LOOKUP,l,gm,gl -> GONEHINT; \
       if :: ent_m == NONE || ent_m == i -> ent_m = i; ent_l = l; if :: GATEYOU -> hd[i]!YOU,i,l :: else -> DSEND(i, YOU, i, l) fi \
          :: else -> DSEND(ent_m, FWD, i, ent_l) fi; l = 0; gm = 0; gl = 0 } \
  :: atomic { td[i]?NOTIFY,l,gm,gl -> GONEHINT; \
       if :: TAKEBACK && ent_m != NONE && ent_m != i && hd[ent_m]?[YOU,_,eval(ent_l)] -> \
             o = ent_m; hd[o]?YOU,x,_; ent_m = i; ent_l = l; DSEND(i, CONFIRM, i, l); DSEND(i, FWD, x, l); \
             do :: hd[o]?FWD,x,_ -> DSEND(i, FWD, x, l) :: empty(hd[o]) -> break od; o = 0; x = 0 \
          :: else -> \
             if :: ent_m == NONE || ent_m == i -> ent_m = i; ent_l = l; DSEND(i, CONFIRM, i, l) \
                :: else -> DSEND(i, REJECT, ent_m, ent_l) fi \
       fi; l = 0; gm = 0; gl = 0 } \
  :: atomic { td[i]?REMOVE,l,gm,gl -> if :: ent_l == l && (ent_m == i || !UNIQ) -> ent_m = NONE; ent_l = 0 :: else fi; l = 0; gm = 0; gl = 0 } \
  :: atomic { nempty(hd[i]) && OPEN -> /* D's fence opens */ \
       do :: hd[i]?YOU,x,l -> fd[i]!YOU,x,l :: hd[i]?FWD,x,l -> fd[i]!FWD,x,l :: hd[i]?CONFIRM,x,l -> fd[i]!CONFIRM,x,l \
          :: hd[i]?REJECT,x,l -> fd[i]!REJECT,x,l :: empty(hd[i]) -> break od; x = 0; l = 0 }
  DR(0) DR(1) DR(2)
  od }

init {
  atomic { if :: CLAIM -> ent_m = 1; ent_l = 1 :: else fi; run Dir(); run Node(0); run Node(1); run Node(2) };
  end: timeout -> assert(ent_m == NONE && held == 0 && busym == 0 && claims == 0)
}
