// Package proc runs the processes of a measurement.
//
//	lockbench --- Start ---> lockifyd, workers: addresses that nobody else uses
//	    <--- standard output, the end of standard error, CPU
//	    --- Signal, Stop, Kill --->
package proc
