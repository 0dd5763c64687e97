/* cross.pml - too much gating. A's claim was rejected in favour of B, B's claim in favour of A.

   Rules (1: on):
   G        1: ADOPTED, as "a granted reply to another node", waits for the sender's own claims; 2: CONFIRM does (A is
            the directory of B's claim, B of A's); 0: neither

   Checked: both claims are closed. */
#ifndef G
#define G 0
#endif
mtype={ADOPT,ADOPTED,NOTIFY,CONFIRM};
chan c[2]=[4] of {mtype}; bool open[2]; byte closed=0;
proctype Node(byte i){ bool pend=false; open[i]=true;
  c[1-i]!((G==2)->NOTIFY:ADOPT);
end: do
  :: c[i]?ADOPT -> if :: G==1 -> pend=true :: else -> c[1-i]!ADOPTED fi
  :: c[i]?NOTIFY -> if :: G==2 -> pend=true :: else -> c[1-i]!CONFIRM fi
  :: pend && !open[i] -> pend=false; c[1-i]!((G==2)->CONFIRM:ADOPTED)
  :: c[i]?ADOPTED -> open[i]=false; closed++
  :: c[i]?CONFIRM -> open[i]=false; closed++
  od }
init{ atomic{open[0]=true;open[1]=true;run Node(0); run Node(1)}; end: timeout -> assert(closed==2) }
