/* delegate.pml - a delegated range with one name X. D is the directory of its key; O asks for the range (ASK, DELEGATE) and
   gives it back (RETURN), up to TIMES times; O and L use X by LOOKUP or by a claim, ROUNDS times each, and a master removes
   X when it likes. L knows nothing of the delegation: it sends to D, D passes on to O (relay), O passes back what reaches
   it when it has not got the range. A claimant may send its NOTIFY twice. IS stands for FWD and the master's answer: the
   asker then sees whether that life is mastered still. A rejected claim is given up at once (adoption is in life.pml).

   Rules (1: on):
   RELAY    D answers nothing for a range that it has lent; 0: it does
   ENTRIES  DELEGATE and RETURN carry the entries; 0: they stay behind
   BOUNCE   O passes back what it gets when the range has gone; 0: it answers
   OLDLIFE  an older life of the same master does not replace a newer one; 0: it does

   Scope:
   RETFIFO  RETURN precedes what O passes back or sends for itself; 0: it is overtaken. No violation was found: D passes
            on until RETURN comes, so messages only go to and fro.

   Checked: one confirmed master at a time; at rest everybody has an answer, whoever has the range knows the master, if
   there is one, and else nothing. */
#ifndef RELAY
#define RELAY 1
#endif
#ifndef ENTRIES
#define ENTRIES 1
#endif
#ifndef RETFIFO
#define RETFIFO 1
#endif
#ifndef BOUNCE
#define BOUNCE 1
#endif
#ifndef OLDLIFE
#define OLDLIFE 1
#endif
#ifndef TIMES
#define TIMES 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define NONE 7
mtype = { LOOKUP, NOTIFY, REMOVE, ASK, DELEGATE, RETURN, YOU, IS, CONFIRM, REJECT };
mtype = { unused, looking, asking, claimed, master };
/* type, the node whose message it is or that an answer names, life, life that is gone */
chan otd = [8] of { mtype, byte, byte, byte };    /* O -> D: its own and what it passes back; RETURN */
chan otr = [1] of { mtype, byte, byte, byte };   /* O -> D: RETURN, RETFIFO=0 */
chan dto = [8] of { mtype, byte, byte, byte };   /* D -> O: relayed, answers, DELEGATE */
chan ld = [6] of { mtype, byte, byte, byte };    /* L -> D */
chan dl = [6] of { mtype, byte, byte, byte };    /* D -> L */
chan ol = [6] of { mtype, byte, byte, byte };    /* O -> L: answers as directory */
chan oo = [6] of { mtype, byte, byte, byte };    /* O's messages to itself as directory */
chan os = [6] of { mtype, byte, byte, byte };    /* and its answers */
byte entm[2] = NONE, entl[2];                    /* entries at D (0) and O (1) */
bool lent = false, have = false;                 /* D has lent the range; O has it */
byte masters = 0, seq = 1, waits = 0;            /* confirmed masters; lives; LOOKUPs and claims without an answer */
mtype st[3] = unused;                            /* of nodes 1 (O) and 2 (L) */
byte life[3];
#define BIT(i)  (1 << (i))
#define BEGINS(i) masters = masters | BIT(i); assert(masters != 6)
#define ENDS(i)   masters = masters & (7 - BIT(i))

/* node i sends a message for the directory */
#define TELL(i, t, g) if :: i == 2 -> ld!t,i,life[i],g :: i == 1 && have -> oo!t,i,life[i],g :: i == 1 && !have -> otd!t,i,life[i],g fi

#define NODE(i) \
  :: atomic { rounds < ROUNDS && st[i] == unused -> rounds++; life[i] = seq; seq++; waits++; \
       if :: st[i] = looking; TELL(i, LOOKUP, 0) :: st[i] = claimed; dup = false; TELL(i, NOTIFY, 0) fi } \
  :: atomic { st[i] == claimed && !dup -> dup = true; TELL(i, NOTIFY, 0) } \
  :: atomic { st[i] == master -> ENDS(i); TELL(i, REMOVE, 0); st[i] = unused; life[i] = 0 } \
  :: atomic { st[i] == asking && (st[tm] == claimed || st[tm] == master) && life[tm] == tl -> \
       if :: st[tm] == claimed -> st[tm] = master; waits--; BEGINS(tm) :: else fi; \
       st[i] = unused; life[i] = 0; waits--; tl = 0; tm = 0 } \
  :: atomic { st[i] == asking && life[tm] != tl -> st[i] = looking; TELL(i, LOOKUP, tl); tl = 0; tm = 0 }

#define ANSWERS(c, i) \
  :: atomic { c?[YOU,_,_,_] -> c?YOU,s,l,g; assert(st[i] == looking && life[i] == l); st[i] = master; waits--; BEGINS(i); s = 0; l = 0 } \
  :: atomic { c?[IS,_,_,_] -> c?IS,s,l,g; assert(st[i] == looking); st[i] = asking; tm = s; tl = l; s = 0; l = 0 } \
  :: atomic { c?[CONFIRM,_,_,_] -> c?CONFIRM,s,l,g; \
       if :: st[i] == claimed && life[i] == l -> st[i] = master; waits--; BEGINS(i) \
          :: st[i] == master && life[i] == l -> skip \
          :: !((st[i] == claimed || st[i] == master) && life[i] == l) -> \
             if :: i == 2 -> ld!REMOVE,i,l,0 :: i == 1 && have -> oo!REMOVE,i,l,0 :: i == 1 && !have -> otd!REMOVE,i,l,0 fi \
       fi; s = 0; l = 0 } \
  :: atomic { c?[REJECT,_,_,_] -> c?REJECT,s,l,g; \
       if :: st[i] == claimed && life[i] == g -> st[i] = unused; life[i] = 0; waits-- :: else fi; s = 0; l = 0; g = 0 }

/* the directory at site d (0: D, 1: O) has message t from node s */
#define ANSWER(d, t, who, lf, about) \
  if :: d == 0 && s == 1 -> dto!t,who,lf,about :: d == 0 && s == 2 -> dl!t,who,lf,about \
     :: d == 1 && s == 1 -> os!t,who,lf,about :: d == 1 && s == 2 -> ol!t,who,lf,about fi
#define HANDLE(d, t) \
  if :: t == LOOKUP -> \
        if :: g != 0 && entl[d] == g -> entm[d] = NONE; entl[d] = 0 :: else fi; \
        if :: entm[d] == NONE || entm[d] == s -> entm[d] = s; entl[d] = l; ANSWER(d, YOU, s, l, 0) \
           :: else -> ANSWER(d, IS, entm[d], entl[d], 0) fi \
     :: t == NOTIFY -> \
        if :: OLDLIFE && entm[d] == s && entl[d] > l -> skip \
           :: else -> \
              if :: entm[d] == NONE || entm[d] == s -> entm[d] = s; entl[d] = l; ANSWER(d, CONFIRM, s, l, 0) \
                 :: else -> ANSWER(d, REJECT, entm[d], entl[d], l) fi \
        fi \
     :: t == REMOVE -> if :: entm[d] == s && entl[d] == l -> entm[d] = NONE; entl[d] = 0 :: else fi \
  fi; s = 0; l = 0; g = 0; t = ASK

proctype O() {
  byte times = 0, rounds = 0, s = 0, l = 0, g = 0, tm = 0, tl = 0;
  bool asked = false, dup = false;
  mtype t = ASK;
end: do
  NODE(1)
  :: atomic { times < TIMES && !have && !asked -> times++; asked = true; otd!ASK,1,0,0 }
  :: atomic { have && empty(oo) -> have = false;
       if :: ENTRIES -> s = entm[1]; l = entl[1] :: else -> s = NONE fi;
       if :: RETFIFO -> otd!RETURN,s,l,0 :: else -> otr!RETURN,s,l,0 fi;
       if :: BOUNCE -> entm[1] = NONE; entl[1] = 0 :: else fi; s = 0; l = 0 }
  :: atomic { dto?[DELEGATE,_,_,_] -> dto?DELEGATE,s,l,g; have = true; asked = false;
       if :: s != NONE -> entm[1] = s; entl[1] = l :: else fi; s = 0; l = 0 }
  ANSWERS(dto, 1)
  ANSWERS(os, 1)
  :: atomic { dto?[LOOKUP,_,_,_] || dto?[NOTIFY,_,_,_] || dto?[REMOVE,_,_,_] -> dto?t,s,l,g;
       if :: have || !BOUNCE -> HANDLE(1, t) :: else -> otd!t,s,l,g; s = 0; l = 0; g = 0; t = ASK fi }
  :: atomic { nempty(oo) -> oo?t,s,l,g; HANDLE(1, t) }
  od }

proctype D() {
  byte s = 0, l = 0, g = 0;
  mtype t = ASK;
end: do
  :: atomic { otd?[ASK,_,_,_] && !lent -> otd?ASK,s,l,g; lent = true;
       if :: ENTRIES -> dto!DELEGATE,entm[0],entl[0],0; if :: RELAY -> entm[0] = NONE; entl[0] = 0 :: else fi
          :: else -> dto!DELEGATE,NONE,0,0 fi; s = 0 }
  :: atomic { otd?[RETURN,_,_,_] -> otd?RETURN,s,l,g; lent = false; if :: s != NONE -> entm[0] = s; entl[0] = l :: else fi; s = 0; l = 0 }
  :: atomic { otr?[RETURN,_,_,_] -> otr?RETURN,s,l,g; lent = false; if :: s != NONE -> entm[0] = s; entl[0] = l :: else fi; s = 0; l = 0 }
  :: atomic { otd?[LOOKUP,_,_,_] || otd?[NOTIFY,_,_,_] || otd?[REMOVE,_,_,_] -> otd?t,s,l,g;
       if :: lent && RELAY -> dto!t,s,l,g; s = 0; l = 0; g = 0; t = ASK :: else -> HANDLE(0, t) fi }
  :: atomic { nempty(ld) -> ld?t,s,l,g;
       if :: lent && RELAY -> dto!t,s,l,g; s = 0; l = 0; g = 0; t = ASK :: else -> HANDLE(0, t) fi }
  od }

proctype L() {
  byte rounds = 0, s = 0, l = 0, g = 0, tm = 0, tl = 0;
  bool dup = false;
end: do
  NODE(2)
  ANSWERS(dl, 2)
  ANSWERS(ol, 2)
  od }

#define DIR (lent -> 1 : 0)
init {
  atomic { run O(); run D(); run L() };
  end: timeout -> assert(waits == 0 && lent == have && masters == 0 && entm[DIR] == NONE && (entm[0] == NONE || !RELAY))
}
