package engine
import ("testing";"fmt";"runtime";"time";"sort";"golang.org/x/sys/unix")
func TestDbgSleep(t *testing.T){
	runtime.LockOSThread()
	s,_ := newSleeper()
	for _, exact := range []bool{false,true} {
		if exact { s.exact() }
		for _, ns := range []int64{1000, 20000,50000,200000} {
			var over []int64
			for i:=0;i<500;i++ { t0:=nanos(); s.sleep(ns); over=append(over, nanos()-t0-ns) }
			sort.Slice(over, func(i,j int)bool{return over[i]<over[j]})
			fmt.Println("ppoll exact",exact,"ns",ns,"over p50",over[250],"p90",over[450],"p99",over[495])
			over=over[:0]
			for i:=0;i<500;i++ { t0:=nanos(); ts:=unix.NsecToTimespec(ns); unix.ClockNanosleep(unix.CLOCK_MONOTONIC,0,&ts,nil); over=append(over, nanos()-t0-ns) }
			sort.Slice(over, func(i,j int)bool{return over[i]<over[j]})
			fmt.Println("nanosleep exact",exact,"ns",ns,"over p50",over[250],"p90",over[450],"p99",over[495])
		}
	}
	v,_ := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK,0,0,0,0); fmt.Println("slack",v)
	var over []int64
	for i:=0;i<200;i++ { t0:=nanos(); time.Sleep(50*time.Microsecond); over=append(over, nanos()-t0-50000) }
	sort.Slice(over, func(i,j int)bool{return over[i]<over[j]})
	fmt.Println("time.Sleep over p50",over[100])
}
