/* recover.pml - one change of the view: X's directory moves from D (view 0) to J (view 1). JOIN=0: D has crashed; JOIN=1:
   J has joined, D lives on. Nodes install view 1 at different times. A claims X, or is its confirmed master (OLDM=1);
   B is a finder by LOOKUP (after A's release, unless OLDM or FREE); C a second one (FREE), or a second claimant (REUSE=1).

   Rules (1: on):
   HOLD     J answers LOOKUP and NOTIFY only after DONE of view 1 from all (JOIN: and D has installed it)
   HOLDN    that holds for NOTIFY, too
   DROPOLD  who has sent DONE of view 1 ignores answers of view 0
   RESEND   at install a node sends its unanswered LOOKUP and NOTIFY again, to J
   FENCE    A lets what names X go when its claim is confirmed

   Scope:
   STALE    D, once in view 1, answers no more for X (no difference was found)

   Checked: one holder, one confirmed master; at rest every LOOKUP and claim has an answer. */
#ifndef JOIN
#define JOIN 0
#endif
#ifndef HOLD
#define HOLD 1
#endif
#ifndef HOLDN
#define HOLDN 1
#endif
#ifndef DROPOLD
#define DROPOLD 1
#endif
#ifndef STALE
#define STALE 1
#endif
#ifndef FENCE
#define FENCE 1
#endif
#ifndef OLDM
#define OLDM 0
#endif
#ifndef REUSE
#define REUSE 0
#endif
#ifndef RESEND
#define RESEND 1
#endif
#ifndef FREE
#define FREE 0
#endif
#define NONE 7
mtype={LOOKUP,NOTIFY,YOU,IS,CONFIRM,REJECT,REGC,REGM,DONE};
chan nd[3]=[4] of {mtype}; chan dn[3]=[4] of {mtype};          /* node <-> D, view 0 */
chan nj[3]=[6] of {mtype}; chan jn[3]=[4] of {mtype};          /* node <-> J, view 1 */
byte held=0, confm=0, waitm=0, dent=NONE, jent=NONE; bool crashed=false, view1=false, relB=false, dinst=false; byte jdone=0;
#define ONE(m) assert((m)==0||(m)==1||(m)==2||(m)==4)
proctype Node(byte i; byte role) {  /* role 0: plain, 1: claims, 2: is confirmed master already */
  bool ep=0, master=false, conf=false, out=false, started=false, rel=false, m=false;
  if :: role==2 -> master=true; conf=true; started=true; confm=confm|(1<<i); held=held|(1<<i) :: else fi;
end: do
  :: atomic { !started && role==1 -> started=true; master=true; out=true; held=held|(1<<i); if :: !REUSE -> ONE(held) :: else fi; waitm=waitm|(1<<i);
        if :: !ep -> nd[i]!NOTIFY :: else -> nj[i]!NOTIFY fi }
  :: atomic { !started && role==0 && (i!=1 || OLDM || FREE || relB) && !(i==2&&!OLDM&&!FREE) -> started=true; out=true; waitm=waitm|(1<<i);
        if :: !ep -> nd[i]!LOOKUP :: else -> nj[i]!LOOKUP fi }
  :: atomic { role==1 && i==0 && started && !rel && (conf || !FENCE) -> rel=true; relB=true }
  :: atomic { view1 && !ep -> ep=1;
        if :: master && conf -> nj[i]!REGM :: master && !conf -> nj[i]!REGC :: else fi;
        nj[i]!DONE;
        if :: out && !master && RESEND -> nj[i]!LOOKUP :: else fi }
  :: atomic { dn[i]?YOU -> if :: (!ep || !DROPOLD) && out -> master=true; conf=true; out=false; waitm=waitm&(7-(1<<i)); held=held|(1<<i); confm=confm|(1<<i); ONE(confm); if :: !REUSE -> ONE(held) :: else fi :: else fi }
  :: atomic { dn[i]?IS -> if :: (!ep || !DROPOLD) && out -> out=false; waitm=waitm&(7-(1<<i)) :: else fi }
  :: atomic { dn[i]?CONFIRM -> if :: (!ep || !DROPOLD) && out -> conf=true; out=false; waitm=waitm&(7-(1<<i)); confm=confm|(1<<i); ONE(confm) :: else fi }
  :: atomic { dn[i]?REJECT -> if :: (!ep || !DROPOLD) && out -> out=false; master=false; waitm=waitm&(7-(1<<i)); held=held&(7-(1<<i)) :: else fi }
  :: atomic { jn[i]?YOU -> if :: !out -> goto end :: else fi; master=true; conf=true; out=false; waitm=waitm&(7-(1<<i)); held=held|(1<<i); confm=confm|(1<<i); ONE(confm); if :: !REUSE -> ONE(held) :: else fi }
  :: atomic { jn[i]?IS -> out=false; waitm=waitm&(7-(1<<i)) }
  :: atomic { jn[i]?CONFIRM -> if :: out -> conf=true; out=false; waitm=waitm&(7-(1<<i)); confm=confm|(1<<i); ONE(confm) :: else fi }
  :: atomic { jn[i]?REJECT -> if :: out -> out=false; master=false; waitm=waitm&(7-(1<<i)); held=held&(7-(1<<i)) :: else assert(!conf) fi }
  od }
proctype Dd() {
end: do
  :: atomic { !JOIN && !crashed -> crashed=true; view1=true; break }
  :: atomic { JOIN && !view1 -> view1=true }
  :: atomic { JOIN && view1 && !dinst -> dinst=true }
#define DD(i) :: atomic { nd[i]?LOOKUP -> if :: dinst && STALE -> skip :: else -> if :: dent==NONE || dent==i -> dent=i; dn[i]!YOU :: else -> dn[i]!IS fi fi } \
  :: atomic { nd[i]?NOTIFY -> if :: dinst && STALE -> skip :: else -> if :: dent==NONE || dent==i -> dent=i; dn[i]!CONFIRM :: else -> dn[i]!REJECT fi fi }
  DD(0) DD(1) DD(2)
  od;
  /* crashed: what was sent to it is gone */
dead: end2: do :: nd[0]?_ :: nd[1]?_ :: nd[2]?_ od }
#define OPEN (!HOLD || (jdone==7 && (!JOIN || dinst)))
proctype J() { bool m0=false,m1=false,m2=false; bool c=false; /* c: entry confirmed */
end: do
#define JJ(i) :: atomic { nj[i]?[LOOKUP] && OPEN -> nj[i]?LOOKUP; if :: jent==NONE || jent==i -> jent=i; c=true; jn[i]!YOU :: else -> jn[i]!IS fi } \
  :: atomic { nj[i]?[NOTIFY] && (OPEN || !HOLDN) -> nj[i]?NOTIFY; if :: jent==NONE || jent==i -> jent=i; c=true; jn[i]!CONFIRM :: else -> jn[i]!REJECT fi } \
  :: atomic { nj[i]?REGM -> if :: jent==NONE || jent==i -> jent=i; c=true :: jent!=NONE && jent!=i && !c -> jn[jent]!REJECT; jent=i; c=true :: else -> assert(false) fi } \
  :: atomic { nj[i]?REGC -> if :: jent==NONE -> jent=i; c=false :: jent!=NONE && jent!=i -> jn[i]!REJECT :: else fi } \
  :: atomic { nj[i]?DONE -> jdone=jdone|(1<<i) }
  JJ(0) JJ(1) JJ(2)
  :: atomic { jdone==7 && jent!=NONE && !c -> c=true; jn[jent]!CONFIRM }
  od }
init { atomic { if :: OLDM -> dent=0 :: else fi; run Dd(); run J(); 
   run Node(0,(OLDM->2:(FREE->0:1))); run Node(1,0); run Node(2,(REUSE->1:0)) };
  end: timeout -> assert(waitm==0) }
